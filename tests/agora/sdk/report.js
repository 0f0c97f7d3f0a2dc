// A reporter of mocha: which cases passed, and which failed with what. Mocha's own of JSON tells nothing at all where an
// error refers to itself, as those of should do.
module.exports = function (runner) {
  const passed = [];
  const failed = {};
  // What is known to wait for ever is not waited for long; all others may take as long as a busy machine needs.
  runner.on("hook", (hook) => hook.fullTitle() === process.env.HANGS && hook.timeout(500));
  runner.on("pass", (test) => passed.push(test.fullTitle()));
  runner.on("fail", (test, error) => (failed[test.fullTitle()] = error.message));
  runner.on("end", () => process.stdout.write(JSON.stringify({ passed, failed })));
};
