// A reporter of mocha: which cases passed, and which failed with what. Mocha's own of JSON tells nothing at all where an
// error refers to itself, as those of should do.
module.exports = function (runner) {
  const passed = [];
  const failed = {};
  runner.on("pass", (test) => passed.push(test.fullTitle()));
  runner.on("fail", (test, error) => (failed[test.fullTitle()] = error.message));
  runner.on("end", () => process.stdout.write(JSON.stringify({ passed, failed })));
};
