// mtcute as a client of `schema/demo.tl`, and an ear at what it says and hears.

import { LogManager, parsePublicKey, TlBinaryWriter } from '@mtcute/core/utils.js'
import { __tlReaderMap } from '@mtcute/tl/binary/reader.js'
import { __publicKeyIndex } from '@mtcute/tl/binary/rsa-keys.js'
import { __tlWriterMap } from '@mtcute/tl/binary/writer.js'
import { MemoryStorage, MtClient, WebCryptoProvider, WebPlatform } from '@mtcute/web'

// Constructor ids of schema/demo.tl.
const ECHO = 0xa5526c53
const SUBSCRIBE = 0xa88fad9c
const TEXT = 0xe84244ab
const DONE = 0x68ede0d4
const TICK = 0x225122f0

// Messages of the protocol itself, which mtcute keeps to itself: those it hears by id...
const HEARD = {
  resPQ: 0x05162463,
  server_DH_params_ok: 0xd0e8075c,
  dh_gen_ok: 0x3bcbf734,
  pong: 0x347773c5,
}
// ...and those it says by name.
const SAID = [
  'mt_req_pq_multi', 'mt_req_DH_params', 'mt_set_client_DH_params', 'mt_ping_delay_disconnect',
]

// The server closes a WebSocket on which no ping came for another quarter of it.
const PING_INTERVAL_MS = 5000
// How long the server may keep a request open.
const POLL_MS = 25_000

const platform = new WebPlatform()
let crypto

// Believes the server with this key, and no other. Fails where browsers do not encrypt.
export async function trustKey(pem) {
  crypto = new WebCryptoProvider()
  await crypto.initialize()
  const key = parsePublicKey(crypto, pem)
  // Not addPublicKey: mtcute looks a fingerprint up without its leading zeros.
  __publicKeyIndex[key.fingerprint.replace(/^0+/, '')] = key
}

// `ear` is told what mtcute says and hears: `said(message)`, `heard(message)` and `pushed(tick)`.
export class DemoClient {
  #client
  #storage = new MemoryStorage()
  #dc

  constructor({ url, transport, dc, ear }) {
    const { hostname, port } = new URL(url)
    this.#dc = { id: dc, ipAddress: hostname, port: Number(port) }
    this.#client = new MtClient({
      apiId: 1,
      apiHash: '',
      crypto,
      defaultDcs: { main: this.#dc, media: this.#dc },
      logLevel: LogManager.WARN,
      network: { pingInterval: PING_INTERVAL_MS },
      // Lost connections, mostly, which the page shows anyway.
      onError: (error) => console.info(error),
      platform,
      readerMap: readers(ear),
      storage: this.#storage,
      transport,
      writerMap: writers(ear),
    })
    this.#client.onUpdate.add((update) => ear.pushed(update))
  }

  connect() {
    return this.#client.connect()
  }

  echo(text) {
    return this.#client.call({ _: 'demo.echo', text })
  }

  subscribe(count, intervalMs) {
    return this.#client.call({ _: 'demo.subscribe', count, intervalMs })
  }

  // The auth key's id, as `mtproto` prints it.
  async keyId() {
    const key = await this.#storage.authKeys.get(this.#dc.id)
    return hex(crypto.sha1(key).subarray(12).reverse())
  }

  // A packet that lets the server answer later: when it has something to say, or after POLL_MS.
  // There is none before there is a key.
  //
  // mtcute has no call that sends one, so this reaches into its private parts, of the version that
  // package.json pins.
  httpWait() {
    const session = this.#client.network._primaryDc?.main._connections[0]?._session
    if (!session?._authKey.ready) return null
    const wait = { _: 'mt_http_wait', maxDelay: 0, waitAfter: 0, maxWait: POLL_MS }
    const writer = TlBinaryWriter.alloc(__tlWriterMap, 32)
    session.writeMessage(writer, wait, false)
    return session.encryptMessage(writer.result())
  }
}

function readers(ear) {
  const readers = {
    ...__tlReaderMap,
    [TEXT]: (reader) => ({ _: 'demo.text', text: reader.string() }),
    [DONE]: () => ({ _: 'demo.done' }),
    // Passed off as an update, because mtcute hands on no other push.
    [TICK]: (reader) => ({ _: 'updatesTooLong', number: reader.int(), count: reader.int() }),
  }
  for (const id of Object.values(HEARD)) {
    readers[id] = (reader) => {
      const message = __tlReaderMap[id](reader)
      ear.heard(message)
      return message
    }
  }
  return readers
}

function writers(ear) {
  const writers = {
    ...__tlWriterMap,
    'demo.echo': (writer, call) => { writer.uint(ECHO); writer.string(call.text) },
    'demo.subscribe': (writer, call) => {
      writer.uint(SUBSCRIBE)
      writer.int(call.count)
      writer.int(call.intervalMs)
    },
  }
  for (const name of SAID) {
    // Called twice for some messages: mtcute measures them first.
    writers[name] = (writer, message) => {
      ear.said(message)
      __tlWriterMap[name](writer, message)
    }
  }
  return writers
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
