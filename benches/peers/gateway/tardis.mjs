// tardis-machine on one recorded minute, which a local stand-in of its data service has.
// Arguments: folder of tardis-machine (built), port, file with one message of Polymarket per line, cache folder.
import { readFileSync } from 'node:fs'
import http from 'node:http'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'

const [folder, port, file, cacheDir] = process.argv.slice(2)
const { TardisMachine } = await import(pathToFileURL(`${folder}/dist/index.js`))
const { init } = await import(pathToFileURL(`${folder}/node_modules/tardis-dev/dist/index.js`))
const once = readFileSync(file, 'utf8').trimEnd().split('\n')
const lines = Array(10).fill(once).flat()
const slice = gzipSync(lines.map((line, at) => `2026-08-01T00:00:${String(Math.floor((at * 60) / lines.length)).padStart(2, '0')}.0000000Z ${line}`).join('\n') + '\n')
// The filters with every token are in the URL.
const service = http.createServer({ maxHeaderSize: 1 << 24 }, (request, response) => {
  response.writeHead(200, { 'content-encoding': 'gzip', 'x-slice-size': '1' })
  response.end(slice)
})
await new Promise((resolve) => service.listen(0, '127.0.0.1', resolve))
const machine = new TardisMachine({ apiKey: '', cacheDir, clearCache: false })
// Its constructor has set its own service.
init({ endpoint: `http://127.0.0.1:${service.address().port}`, cacheDir, dataFeedCompression: 'gzip' })
await machine.start(Number(port))
console.log('ready')
