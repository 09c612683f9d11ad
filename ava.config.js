export default {
  files: ['src', 'samples', 'tools', 'bench', 'conformance'].map((folder) => `${folder}/**/*.test.ts`),
  extensions: ['ts'],
  failFast: false,
  timeout: '120s',
};
