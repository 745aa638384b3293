// The ways from this page to the server, as transports of mtcute. Each gives out connections, which
// mtcute opens again whenever one is lost, and the codec that puts packets into a connection.

import { Bytes } from '@fuman/io'
import { ConnectionClosedError, connectWs } from '@fuman/net'
import { ConditionVariable } from '@fuman/utils'
import { IntermediatePacketCodec, ObfuscatedPacketCodec } from '@mtcute/web'

// WebSocket, as mtcute has it: the stream is obfuscated even inside TLS.
export class WebSocketTransport {
  constructor(url) {
    this.url = url
  }

  connect() {
    return connectWs({ url: this.url, protocols: 'binary' })
  }

  packetCodec() {
    return new ObfuscatedPacketCodec(new IntermediatePacketCodec())
  }
}

// HTTP, which mtcute does not have: a packet is the body of a POST, and its answer is the body of
// the response.
//
// The server may speak only in answers. What mtcute asks is answered at once, and pushes that wait
// come along; but who has nothing to ask would hear nothing. So one request is kept open for what
// the server has to say: `poll` returns a packet with `http_wait`, which only the page can have
// mtcute make, as only mtcute has the key. A transport without such packets would still work, but
// pushes would wait for the next call or ping.
export class HttpTransport {
  constructor(url, poll, onRequest) {
    this.url = url
    this.poll = poll
    this.onRequest = onRequest
  }

  async connect() {
    // There is nothing to open. The question of browsers before they send something to another
    // server shows whether somebody is there: mtcute waits between attempts that fail.
    const answer = await fetch(this.url, { method: 'OPTIONS' })
    await answer.arrayBuffer()
    if (!answer.ok) throw new Error(answer.statusText)
    const connection = new HttpConnection(this.url, this.onRequest)
    connection.keepPolling(this.poll)
    return connection
  }

  // HTTP does the framing. Between the codec and the connection, which talk in bytes, intermediate
  // frames mark where packets end.
  packetCodec() {
    return new IntermediatePacketCodec()
  }
}

const LENGTH_LEN = 4

// A connection in the eyes of mtcute. The browser decides over how many it sends requests: six at
// most, of which the long poll takes one.
class HttpConnection {
  #url
  #onRequest
  #received = Bytes.alloc(0)
  #changed = new ConditionVariable()
  #requests = new AbortController()
  #ended = null

  localAddress = null

  constructor(url, onRequest) {
    this.#url = url
    this.#onRequest = onRequest
  }

  get remoteAddress() {
    return this.#url
  }

  // Takes whole frames: one, or several if mtcute sends them at the same time. It does not wait for
  // their answers, so that none holds up what comes after.
  async write(frames) {
    if (this.#ended) throw this.#ended
    // The first four bytes only say how the stream is framed.
    for (let start = 0, end; start + LENGTH_LEN < frames.length; start = end) {
      const length = new DataView(frames.buffer, frames.byteOffset + start).getUint32(0, true)
      end = start + LENGTH_LEN + length
      this.#post(frames.slice(start + LENGTH_LEN, end))
    }
  }

  async read(into) {
    while (!this.#received.available) {
      if (this.#ended) throw this.#ended
      await this.#changed.wait()
    }
    const length = Math.min(this.#received.available, into.length)
    into.set(this.#received.readSync(length))
    this.#received.reclaim()
    return length
  }

  close() {
    this.#end(new ConnectionClosedError())
  }

  async keepPolling(poll) {
    while (!this.#ended) {
      const packet = await poll()
      if (!this.#ended) await this.#post(packet)
    }
  }

  async #post(packet) {
    this.#onRequest(+1)
    try {
      const { signal } = this.#requests
      const response = await fetch(this.#url, { method: 'POST', body: packet, signal })
      const body = new Uint8Array(await response.arrayBuffer())
      // The server is about to stop, for one.
      if (response.status >= 500) throw new Error(response.statusText)
      // A transport error, -404 for a key that the server does not know, is a status here and a
      // packet of four bytes elsewhere, which mtcute understands.
      if (!response.ok) this.#receive(new Uint8Array(Int32Array.of(-response.status).buffer))
      else if (body.length) this.#receive(body)
    } catch (error) {
      this.#end(new ConnectionClosedError(error.message))
    } finally {
      this.#onRequest(-1)
    }
  }

  #receive(packet) {
    const frame = this.#received.writeSync(LENGTH_LEN + packet.length)
    new DataView(frame.buffer, frame.byteOffset).setUint32(0, packet.length, true)
    frame.set(packet, LENGTH_LEN)
    this.#received.disposeWriteSync()
    this.#changed.notify()
  }

  #end(reason) {
    this.#ended ??= reason
    this.#requests.abort()
    this.#changed.notify()
  }
}
