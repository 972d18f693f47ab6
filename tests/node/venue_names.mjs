// Two of the venues' own names over TLS, which this process finds at HOST:PORT; prints one status a line.
//
// NODE_EXTRA_CA_CERTS=authority.pem node venue_names.mjs HOST:PORT TOKEN TICKER
import https from "node:https";

const [address, token, ticker] = process.argv.slice(2);
const [host, port] = address.split(":");
const lookup = (name, options, done) =>
  options.all ? done(null, [{ address: host, family: 4 }]) : done(null, host, 4);

const get = (url) =>
  new Promise((resolve, reject) => {
    https.get(url, { lookup }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode));
    }).on("error", reject);
  });

console.log(await get(`https://clob.polymarket.com:${port}/book?token_id=${token}`));
console.log(await get(`https://api.elections.kalshi.com:${port}/trade-api/v2/markets/${ticker}/orderbook`));
