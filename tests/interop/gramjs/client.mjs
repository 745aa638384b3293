// Drives GramJS's MTProto layer. What a client program is asked and answers: ../README.md.

import assert from 'node:assert/strict'
import { createHash, createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { parseArgs } from 'node:util'

import bigInt from 'big-integer'
import { AuthKey } from 'telegram/crypto/AuthKey.js'
import { _serverKeys } from 'telegram/crypto/RSA.js'
import { Logger, PromisedNetSockets, PromisedWebSockets } from 'telegram/extensions/index.js'
import { ConnectionTCPMTProxyAbridged } from 'telegram/network/connection/TCPMTProxy.js'
import {
  ConnectionTCPAbridged, ConnectionTCPFull, ConnectionTCPObfuscated, MTProtoSender,
} from 'telegram/network/index.js'
import { tlobjects } from 'telegram/tl/AllTLObjects.js'
import { serializeBytes } from 'telegram/tl/generationHelpers.js'
import { Api } from 'telegram/tl/index.js'

const DC = 2
const BATCH = 100
const TICKS = 3
const LONG_TEXT = 'mtproto '.repeat(8192)

const CONNECTIONS = {
  'full': ConnectionTCPFull,
  'abridged': ConnectionTCPAbridged,
  'obfuscated-abridged': ConnectionTCPObfuscated,
  'ws': ConnectionTCPObfuscated,
  'wss': ConnectionTCPObfuscated,
  'secret-abridged': ConnectionTCPMTProxyAbridged,
}

// By itself it takes wss for port 443 only.
class SecureWebSockets extends PromisedWebSockets {
  getWebSocketLink(ip, port) {
    return `wss://${ip}:${port}/apiws`
  }
}
const SOCKETS = { 'ws': PromisedWebSockets, 'wss': SecureWebSockets }

// What schema/demo.tl answers and pushes.
const ANSWERS = {
  0xe84244ab: (reader) => ({ text: reader.tgReadString() }),
  0x68ede0d4: () => ({}),
  0x225122f0: (reader) => ({
    number: reader.readInt(),
    count: reader.readInt(),
    // Passed off as an update, because GramJS hands on no other push.
    SUBCLASS_OF_ID: Api.Updates.SUBCLASS_OF_ID,
  }),
}
for (const [id, read] of Object.entries(ANSWERS)) {
  tlobjects[id] = {
    fromReader: (reader) => ({ CONSTRUCTOR_ID: Number(id), className: 'demo', ...read(reader) }),
  }
}

const { values: options } = parseArgs({ options: {
  address: { type: 'string' },
  key: { type: 'string' },
  transport: { type: 'string' },
  secret: { type: 'string' },
  calls: { type: 'string', default: '1000' },
} })
trustKey(options.key)
// GramJS logs to the standard output, which is the runner's.
console.log = console.error
const ticks = []
const report = {}

let started = performance.now()
const sender = await connect(undefined)
report.exchange_ms = performance.now() - started
const key = sender.authKey.getKey()

started = performance.now()
const pong = await sender.send(new Api.Ping({ pingId: bigInt(4711) }))
assert.equal(pong.pingId.toString(), '4711')
report.ping_ms = performance.now() - started

await assert.rejects(sender.send(call(0xbad0c0de)), { code: 400, errorMessage: 'METHOD_INVALID' })

started = performance.now()
for (let number = 0; number < options.calls; number++) await echo(sender, `call ${number}`)
report.calls_ms = performance.now() - started
await echo(sender, LONG_TEXT)
await Promise.all(Array.from({ length: BATCH }, (_, number) => echo(sender, `together ${number}`)))

await sender.send(call(0xa88fad9c, int(TICKS), int(10)))
while (ticks.length < TICKS) await new Promise((resolve) => setTimeout(resolve, 10))
assert.deepEqual(ticks, [1, 2, 3])
report.pushes = ticks.length

say('restart')
await createInterface({ input: process.stdin })[Symbol.asyncIterator]().next()
await echo(sender, 'the same sender after the restart')
assert.deepEqual(sender.authKey.getKey(), key, 'the key changed by itself')

const stored = new AuthKey()
await stored.setKey(key)
const successor = await connect(stored)
await echo(successor, 'a new sender with the stored key')
assert.deepEqual(successor.authKey.getKey(), key, 'the stored key was replaced')
say(JSON.stringify(report))
process.exit(0)

function say(line) {
  process.stdout.write(`${line}\n`)
}

function trustKey(file) {
  const { n, e } = createPublicKey(readFileSync(file)).export({ format: 'jwk' })
  const parts = [n, e].map((part) => Buffer.from(part, 'base64url'))
  const digest = createHash('sha1').update(Buffer.concat(parts.map(serializeBytes))).digest()
  const [modulus, exponent] = parts.map((part) => bigInt(part.toString('hex'), 16))
  const fingerprint = digest.readBigInt64LE(12).toString()
  _serverKeys.set(fingerprint, { n: modulus, e: exponent.toJSNumber() })
}

async function connect(authKey) {
  const [ip, port] = options.address.split(':')
  const socket = SOCKETS[options.transport] ?? PromisedNetSockets
  const logger = new Logger('warn')
  const sender = new MTProtoSender(authKey, {
    autoReconnect: true,
    client: { networkSocket: socket },
    dcId: DC,
    _exportedSenderPromises: new Map(),
    delay: 500,
    isMainSender: true,
    logger,
    reconnectRetries: 10,
    retries: 5,
    securityChecks: true,
    updateCallback: (_client, update) => { if (update.count) ticks.push(update.number) },
  })
  const connection = new CONNECTIONS[options.transport]({
    dcId: DC,
    ip,
    loggers: logger,
    port: Number(port),
    proxy: options.secret && { ip, port: Number(port), MTProxy: true, secret: options.secret },
    socket,
  })
  assert.ok(await sender.connect(connection, false), 'no connection')
  return sender
}

async function echo(sender, text) {
  const answer = await sender.send(call(0xa5526c53, serializeBytes(text)))
  assert.equal(answer.text, text)
}

function call(id, ...parts) {
  return {
    CONSTRUCTOR_ID: id,
    classType: 'request',
    className: 'demo',
    getBytes: () => Buffer.concat([int(id), ...parts]),
    readResult: (reader) => reader.tgReadObject(),
  }
}

function int(value) {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value | 0)
  return bytes
}
