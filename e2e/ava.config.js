/** End-to-end tests: one file after the other in the order of their names, against one cluster. */
export default {
  files: ['e2e/tests/*.ts'],
  extensions: ['ts'],
  concurrency: 1,
  serial: true,
  workerThreads: false,
  // AVA's cache puts the files that failed last first; here each file stands on those before it.
  cache: false,
  timeout: '10m',
  sortTestFiles: (a, b) => (a < b ? -1 : 1),
};
