// Loaded by mocha before the suite of easemob-sdk: has it speak to the gateway under test.
const { user } = require("easemob-sdk");
const request = require("easemob-sdk/lib/easemob_request");

require("easemob-sdk/lib/const").BASE_URL = process.env.GATEWAY_UNDER_TEST + "/";

// What is told to stdout is the report.
console.log = console.error;

// The suite clears the app by DELETE /users?limit=N before nearly every case. The gateway refuses to delete users that
// nobody names, so that they are listed here and deleted by name.
user.remove_batch = (limit, token, done) => {
  request.request_token({}, "/users?limit=" + limit, "GET", token, (error, response, body) => {
    const names = error ? [] : body.entities.map((entity) => entity.username);
    const next = (error) => {
      if (error || !names.length) return done(error, response, body);
      user.remove(names.pop(), token, next);
    };
    next(error);
  });
};
