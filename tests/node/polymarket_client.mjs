// Books of @polymarket/client through the gateway, one JSON object a line, every half second.
//
// GAMMA=HOST:PORT RINGBOOK_TEST_NODE_MODULES=FOLDER node --experimental-websocket polymarket_client.mjs \
//     HOST:PORT TOKEN...
//
// FOLDER has the package in its node_modules; GAMMA is the catalog, whose markets and events are read first. The flag
// is needed by Node before version 22 only.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [address, ...tokens] = process.argv.slice(2);
const { resolve } = createRequire(`${process.env.RINGBOOK_TEST_NODE_MODULES}/`);
const { createPublicClient, forkEnvironmentConfig } = await import(pathToFileURL(resolve("@polymarket/client")).href);

const environment = forkEnvironmentConfig({
  name: "gateway",
  clob: { rest: `http://${address}`, market: { ws: `ws://${address}/ws/market` } },
  gamma: { rest: `http://${process.env.GAMMA}` },
});
const client = createPublicClient({ environment });
const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

const all = async (pages) => {
  const items = [];
  for await (const page of pages) items.push(...page.items);
  return items;
};

const readCatalog = async () => {
  let markets = [];
  while (markets.length === 0) {
    await sleep(200);
    markets = await all(client.listMarkets({ clobTokenIds: tokens.slice(0, 2) }));
  }
  const [market] = markets;
  assert.equal(market.outcomes.yes.tokenId, tokens[0]);
  assert.equal((await client.fetchMarket({ slug: market.slug })).id, market.id);
  const events = await all(client.listEvents());
  const event = events.find((one) => one.markets.some((other) => other.id === market.id));
  assert.equal((await client.fetchEvent({ id: event.id })).title, event.title);
};

const books = {};
const sides = ({ bids, asks }) => ({
  BUY: Object.fromEntries(bids.map(({ price, size }) => [price, size])),
  SELL: Object.fromEntries(asks.map(({ price, size }) => [price, size])),
});

const apply = ({ type, payload }) => {
  if (type === "book") {
    books[payload.tokenId] = sides(payload);
  } else if (type === "price_change") {
    for (const { tokenId, side, price, size } of payload.priceChanges) {
      if (Number(size) === 0) delete books[tokenId][side][price];
      else books[tokenId][side][price] = size;
    }
  }
};

await readCatalog();
const stream = await client.subscribe([{ topic: "market", tokenIds: tokens, customFeatureEnabled: true }]);
setInterval(() => console.log(JSON.stringify(books)), 500);
for await (const event of stream) apply(event);
throw new Error("the subscription ended");
