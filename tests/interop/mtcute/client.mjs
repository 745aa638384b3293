// Drives mtcute. What a client program is asked and answers: ../README.md.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { parseArgs } from 'node:util'

import { connectWs } from '@fuman/net'
import {
  IntermediatePacketCodec, MemoryStorage, MtClient, MtProxyTcpTransport, NodePlatform,
  ObfuscatedPacketCodec, PaddedIntermediatePacketCodec, TcpTransport,
} from '@mtcute/node'
import {
  __tlReaderMap, __tlWriterMap, LogManager, NodeCryptoProvider, parsePublicKey,
} from '@mtcute/node/utils.js'
import { WebSocket } from 'ws'

// Constructor ids of schema/demo.tl.
const ECHO = 0xa5526c53
const SLEEP = 0xc12b4c9d
const SUBSCRIBE = 0xa88fad9c
const TEXT = 0xe84244ab
const DONE = 0x68ede0d4
const TICK = 0x225122f0
const UNKNOWN = 0xbad0c0de

const DC = 2
const BATCH = 100
const TICKS = 3
const LONG_TEXT = 'mtproto '.repeat(8192)
// mtcute pings while a call has been open for two seconds.
const SLEEP_MS = 2500

const CODECS = {
  'intermediate': () => new IntermediatePacketCodec(),
  'padded': () => new PaddedIntermediatePacketCodec(),
  'obfuscated-intermediate': () => new ObfuscatedPacketCodec(new IntermediatePacketCodec()),
  'obfuscated-padded': () => new ObfuscatedPacketCodec(new PaddedIntermediatePacketCodec()),
}

const readerMap = {
  ...__tlReaderMap,
  [TEXT]: (reader) => ({ _: 'demo.text', text: reader.string() }),
  [DONE]: () => ({ _: 'demo.done' }),
  // Passed off as an update, because mtcute hands on no other push.
  [TICK]: (reader) => ({ _: 'updatesTooLong', number: reader.int(), count: reader.int() }),
}
const writerMap = {
  ...__tlWriterMap,
  'demo.echo': (writer, call) => { writer.uint(ECHO); writer.string(call.text) },
  'demo.sleep': (writer, call) => { writer.uint(SLEEP); writer.int(call.delayMs) },
  'demo.subscribe': (writer, call) => {
    writer.uint(SUBSCRIBE)
    writer.int(call.count)
    writer.int(call.intervalMs)
  },
  'demo.unknown': (writer) => { writer.uint(UNKNOWN) },
}

const { values: options } = parseArgs({ options: {
  address: { type: 'string' },
  key: { type: 'string' },
  transport: { type: 'string' },
  secret: { type: 'string' },
  pfs: { type: 'boolean' },
  calls: { type: 'string', default: '1000' },
} })
await trustKey(options.key)
const storage = new MemoryStorage()
const seen = { pongs: 0, pushes: 0 }
const report = {}

const client = newClient(storage)
report.exchange_ms = await time(async () => {
  await client.connect()
  await echo(client, 'the first call waits for the key')
})

const refused = await client.call({ _: 'demo.unknown' })
assert.deepEqual([refused.errorCode, refused.errorMessage], [400, 'METHOD_INVALID'])

report.calls_ms = await time(async () => {
  for (let number = 0; number < options.calls; number++) await echo(client, `call ${number}`)
})
await echo(client, LONG_TEXT)
await Promise.all(Array.from({ length: BATCH }, (_, number) => echo(client, `together ${number}`)))

await client.call({ _: 'demo.subscribe', count: TICKS, intervalMs: 10 })
await client.call({ _: 'demo.sleep', delayMs: SLEEP_MS })
assert.equal(seen.pushes, TICKS)
assert.ok(seen.pongs > 0, 'no pong came')
report.pushes = seen.pushes

const key = await storage.authKeys.get(DC)
assert.ok(key, 'no key was stored')
if (options.pfs) assert.ok(await storage.authKeys.getTemp(DC, 0, 0), 'no temporary key was stored')
console.log('restart')
await createInterface({ input: process.stdin })[Symbol.asyncIterator]().next()
await echo(client, 'the same client after the restart')
assert.deepEqual(await storage.authKeys.get(DC), key, 'the key changed by itself')
await client.disconnect()

const stored = new MemoryStorage()
await stored.authKeys.set(DC, key)
const successor = newClient(stored)
await successor.connect()
await echo(successor, 'a new client with the stored key')
assert.deepEqual(await stored.authKeys.get(DC), key, 'the stored key was replaced')
console.log(JSON.stringify(report))
process.exit(0)

async function trustKey(file) {
  const crypto = new NodeCryptoProvider()
  await crypto.initialize()
  const key = parsePublicKey(crypto, readFileSync(file, 'ascii'))
  // Not addPublicKey: mtcute looks a fingerprint up without its leading zeros.
  const index = new URL('node_modules/@mtcute/core/tl/binary/rsa-keys.js', import.meta.url)
  const { __publicKeyIndex } = await import(index)
  __publicKeyIndex[key.fingerprint.replace(/^0+/, '')] = key
}

function newClient(storage) {
  const [host, port] = options.address.split(':')
  const dc = { id: DC, ipAddress: host, port: Number(port) }
  const platform = new NodePlatform()
  const client = new MtClient({
    apiId: 1,
    apiHash: '',
    crypto: new NodeCryptoProvider(),
    defaultDcs: { main: dc, media: dc },
    logger: newLogger(platform),
    network: { usePfs: options.pfs },
    onError: (error) => console.error(error),
    platform,
    readerMap,
    storage,
    transport: newTransport(host, Number(port)),
    writerMap,
  })
  client.onUpdate.add(() => { seen.pushes += 1 })
  return client
}

function newTransport(host, port) {
  if (options.transport === 'mtproxy') {
    return new MtProxyTcpTransport({ host, port, secret: options.secret })
  }
  if (['ws', 'wss'].includes(options.transport)) {
    return webSocketTransport(`${options.transport}://${options.address}/apiws`)
  }
  const transport = new TcpTransport()
  transport.packetCodec = CODECS[options.transport]
  return transport
}

// As in @mtcute/web, whose own knows no port and only Telegram's names.
function webSocketTransport(url) {
  return {
    connect: () => connectWs({ implementation: WebSocket, protocols: 'binary', url }),
    packetCodec: CODECS['obfuscated-intermediate'],
  }
}

// The log is the only place where mtcute tells of a pong.
function newLogger(platform) {
  const logger = new LogManager('mtcute', platform)
  logger.level = LogManager.DEBUG
  logger.handler = (_color, level, _tag, text) => {
    if (text.includes('received pong')) seen.pongs += 1
    if (level <= LogManager.WARN) console.error(text)
  }
  return logger
}

async function echo(client, text) {
  assert.equal((await client.call({ _: 'demo.echo', text })).text, text)
}

async function time(action) {
  const started = performance.now()
  await action()
  return performance.now() - started
}
