// Talks to the server that this page came from over WebSocket, with and without TLS, and over HTTP,
// all on the one port of the page, and shows how that goes.

import { Card } from './card.js'
import { DemoClient, trustKey } from './client.js'
import { HttpTransport, WebSocketTransport } from './transports.js'

const CALL_INTERVAL_MS = 1000
const DRAW_INTERVAL_MS = 250
const TICKS = 60
const TICK_INTERVAL_MS = 1000
// A subscription does not outlive the server's process. After such a silence there is a new one.
const SILENCE_MS = 5000
// How long one transport may keep the next one waiting.
const HEAD_START_MS = 3000
// How often a poll looks whether there is a key.
const KEY_CHECK_MS = 50

const PLAIN_HINT = location.protocol === 'https:'
  ? 'Pages over https may use it with 127.0.0.1 only.'
  : 'Does the server run?'
const TLS_HINT = `Does the browser trust the certificate? Open https://${location.host} once.`

const WAYS = [
  { name: 'ws', path: '/apiws', hint: PLAIN_HINT },
  { name: 'wss', path: '/apiws', hint: TLS_HINT },
  { name: 'http', path: '/apiw', hint: PLAIN_HINT },
]

start().catch((error) => {
  document.querySelector('#error').textContent = explain(error)
})

async function start() {
  const response = await fetch('config.json')
  if (!response.ok) throw new Error(`config.json: ${response.status} ${response.statusText}`)
  const config = await response.json()
  document.querySelector('#server').textContent = location.host
  document.querySelector('#fingerprint').textContent = config.fingerprint
  document.querySelector('#dc').textContent = config.dc
  await trustKey(config.public_key)

  const ways = WAYS.filter(({ name }) => config.transports.includes(name))
  const cards = ways.map((way) => newCard(way))
  setInterval(() => {
    // The same height for all, so that they can be compared.
    const top = Math.max(...cards.map((card) => card.top()))
    cards.forEach((card) => card.draw(top))
  }, DRAW_INTERVAL_MS)
  // One after the other: the arithmetic of one exchange would be in the times of another.
  for (const [index, card] of cards.entries()) {
    talk(ways[index], card, config)
    await Promise.race([card.settled, sleep(HEAD_START_MS)])
  }
}

function newCard({ name, path }) {
  const parent = document.querySelector('#cards')
  return new Card(document.querySelector('#card'), parent, name, address(name, path))
}

// Makes a key, then calls once a second, for ever.
async function talk({ name, path, hint }, card, { dc }) {
  const url = address(name, path)
  // Not before the first answer: on a connection of its own a poll may overtake the first call, and
  // mtcute takes what was sent before a session's first message for lost.
  let isAnswered = false
  const poll = async () => {
    for (;;) {
      const packet = isAnswered && client.httpWait()
      if (packet) return packet
      await sleep(KEY_CHECK_MS)
    }
  }
  const isHttp = name === 'http'
  const transport = isHttp
    ? new HttpTransport(url, poll, (change) => card.requested(change))
    : new WebSocketTransport(url)
  let heardAt = -Infinity
  const ear = {
    said: (message) => card.said(message),
    heard: (message) => card.heard(message),
    pushed: (tick) => {
      // The last one of a subscription leads to the next.
      heardAt = tick.number === tick.count ? -Infinity : performance.now()
      card.pushed(tick)
    },
  }
  const client = new DemoClient({ url, transport: shown(transport, card, hint), dc, ear })

  await client.connect()
  await client.echo('the first call waits for the key')
  isAnswered = true
  card.hasKey(await client.keyId())
  for (let number = 1; ; number++) {
    const asked = performance.now()
    await client.echo(`call ${number}`)
    card.called(performance.now() - asked)
    if (performance.now() - heardAt > SILENCE_MS) {
      heardAt = performance.now()
      await client.subscribe(TICKS, TICK_INTERVAL_MS)
    }
    await sleep(CALL_INTERVAL_MS)
  }
}

// A transport whose connections show on a card.
function shown(transport, card, hint) {
  return {
    packetCodec: () => transport.packetCodec(),
    connect: async () => {
      card.connecting()
      try {
        const connection = await transport.connect()
        card.connected()
        return connection
      } catch (error) {
        card.failed(hint)
        throw error
      }
    },
  }
}

function address(scheme, path) {
  return `${scheme}://${location.host}${path}`
}

function explain(error) {
  if (isSecureContext) return error.message
  return 'Browsers encrypt for pages from 127.0.0.1 or over https only. Open this page there.'
}

function sleep(ms) {
  return new Promise((resolve) => { setTimeout(resolve, ms) })
}
