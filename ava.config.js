export default {
  files: ['src/**/*.test.ts', 'samples/**/*.test.ts', 'tools/**/*.test.ts', 'bench/**/*.test.ts'],
  extensions: ['ts'],
  failFast: false,
  timeout: '120s',
};
