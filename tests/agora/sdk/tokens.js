// Makes tokens with agora-token, the vendor's own: tells them as JSON, each by what it is.
const { ChatTokenBuilder } = require("agora-token");
const vendor = require("agora-token/src/AccessToken2");

const [appId, certificate, user] = process.argv.slice(2);
const LASTS_S = 600;

// One token for several services, of which each has a privilege. The vendor's library packs them by their numbers.
function forMany(...services) {
  const token = new vendor.AccessToken2(appId, certificate, null, LASTS_S);
  for (const service of services) {
    service.add_privilege(1, LASTS_S);
    token.add_service(service);
  }
  return token.build();
}

const chat = () => new vendor.ServiceChat(user);
const told = {
  app: ChatTokenBuilder.buildAppToken(appId, certificate, LASTS_S),
  user: ChatTokenBuilder.buildUserToken(appId, certificate, user, LASTS_S),
  "user of another certificate": ChatTokenBuilder.buildUserToken(appId, "0".repeat(32), user, LASTS_S),
  "user beside RTC and RTM": forMany(chat(), new vendor.ServiceRtm(user), new vendor.ServiceRtc("channel", user)),
  "user beside every service": forMany(
    chat(),
    new vendor.ServiceRtc("channel", 0),
    new vendor.ServiceRtm(user),
    new vendor.ServiceStreaming("channel", user),
    new vendor.ServiceFpa(),
    new vendor.ServiceFCdn("channel", user),
    new vendor.ServiceApaas("room", user, 1),
    new vendor.ServiceRtm2(user),
    new vendor.ServiceConvoAI(),
    new vendor.ServiceStt(),
  ),
  "no Chat": forMany(new vendor.ServiceRtc("channel", user)),
};
process.stdout.write(JSON.stringify(told));
