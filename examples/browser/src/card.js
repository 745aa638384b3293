// What the page shows of one transport. The numbers stand in data attributes, too, where the test
// reads them.

import { Chart } from './chart.js'

// The three steps of a key exchange: what is asked, and what answers it.
const STEPS = [
  ['req_pq_multi', 'resPQ'],
  ['req_DH_params', 'server_DH_params_ok'],
  ['set_client_DH_params', 'dh_gen_ok'],
]
const PUSHES_SHOWN = 5
// The median is that of so many calls, which are five minutes.
const CALLS_KEPT = 300

export class Card {
  // For whoever waits for the key, or for the end of all hope.
  settled
  #settle
  #element
  #chart
  #steps = []
  #pingsSent = new Map()
  #callTimes = []
  #lastPush = null
  #requests = { made: 0, open: 0 }
  #counts = { calls: 0, connections: 0, exchanges: 0, missed: 0, pongs: 0, pushes: 0 }

  constructor(template, parent, name, url) {
    this.#element = template.content.firstElementChild.cloneNode(true)
    this.#element.dataset.name = name
    parent.append(this.#element)
    this.#chart = new Chart(this.#find('svg'))
    this.#show('name', name)
    this.#show('url', url)
    this.settled = new Promise((resolve) => { this.#settle = resolve })
    this.#status('waiting')
    this.#showSteps()
  }

  connecting() {
    this.#pingsSent.clear()
    this.#status('connecting')
  }

  connected() {
    this.#count('connections')
    this.#status('connected')
    this.#showLink()
  }

  // The hint is for those who have never seen it work.
  failed(hint) {
    this.#status('no connection', this.#counts.connections ? '' : hint)
    this.#settle()
  }

  said(message) {
    const name = message._.replace('mt_', '')
    const step = STEPS.findIndex(([question]) => question === name)
    // A new exchange.
    if (step === 0) this.#steps = []
    if (step >= 0) this.#steps[step] = { asked: performance.now() }
    if (name === 'ping_delay_disconnect') {
      this.#pingsSent.set(String(message.pingId), performance.now())
    }
    this.#showSteps()
  }

  heard(message) {
    const name = message._.replace('mt_', '')
    if (name === 'pong') return this.#ponged(String(message.pingId))
    const step = STEPS.findIndex(([, answer]) => answer === name)
    this.#steps[step].answered = performance.now()
    this.#showSteps()
    if (step === STEPS.length - 1) this.#count('exchanges')
  }

  hasKey(id) {
    this.#show('key', id)
    this.#element.dataset.key = id
    this.#status('ready')
    this.#settle()
  }

  called(ms) {
    this.#callTimes = [...this.#callTimes.slice(1 - CALLS_KEPT), ms]
    this.#chart.add('call', ms)
    this.#show('calls', this.#count('calls'))
    const sorted = this.#callTimes.toSorted((one, other) => one - other)
    const [least, median] = [sorted[0], sorted[sorted.length >> 1]]
    this.#show('median', `${median.toFixed(1)} ms`)
    this.#element.dataset.median = median
    this.#show('range', `${least.toFixed(1)} to ${sorted.at(-1).toFixed(1)} ms`)
    this.#status('ready')
  }

  pushed({ number, count }) {
    const last = this.#lastPush ?? { number: 0 }
    this.#lastPush = { number, at: new Date() }
    // After the last one of a subscription comes the first one of the next.
    if (number !== last.number % count + 1) this.#count('missed')
    this.#show('pushes', this.#count('pushes'))
    const { at } = this.#lastPush
    const list = this.#find('[data-show=ticks]')
    list.prepend(line([
      `tick ${number} of ${count}`,
      at.toISOString().slice(11, 23),
      last.at ? `+${at - last.at} ms` : '',
    ]))
    list.children[PUSHES_SHOWN]?.remove()
    this.#status('ready')
  }

  requested(change) {
    if (change > 0) this.#requests.made += 1
    this.#requests.open += change
    this.#element.dataset.requests = this.#requests.made
    this.#showLink()
  }

  top() {
    return this.#chart.top()
  }

  draw(top) {
    this.#chart.draw(top)
  }

  #ponged(pingId) {
    const asked = this.#pingsSent.get(pingId)
    this.#pingsSent.delete(pingId)
    // A ping that waited for the connection says nothing of how long a ping takes.
    if (asked) {
      const ms = performance.now() - asked
      this.#chart.add('ping', ms)
      this.#show('ping', `${ms.toFixed(1)} ms`)
    }
    this.#show('pongs', this.#count('pongs'))
    this.#status('ready')
  }

  #showSteps() {
    const start = this.#steps[0]?.asked
    const end = this.#steps[2]?.answered
    const total = (end ?? performance.now()) - start
    const bars = STEPS.map(([question, answer], index) => {
      const { asked, answered } = this.#steps[index] ?? {}
      const bar = document.createElement('li')
      bar.className = answered ? 'done' : asked ? 'open' : ''
      const ms = answered ? `${(answered - asked).toFixed(1)} ms` : ''
      bar.innerHTML = `<span>${question} <i>→</i> ${answer}</span><b>${ms}</b><div><hr></div>`
      const hr = bar.querySelector('hr')
      if (asked) hr.style.marginLeft = `${(asked - start) / total * 100}%`
      hr.style.width = answered ? `max(2px, ${(answered - asked) / total * 100}%)` : 0
      return bar
    })
    this.#find('[data-show=steps]').replaceChildren(...bars)
    this.#show('exchange', end ? `${total.toFixed(0)} ms` : '')
    if (end) this.#element.dataset.exchange = total
  }

  #showLink() {
    const { made, open } = this.#requests
    const { connections } = this.#counts
    const times = connections === 1 ? 'once' : `${connections} times`
    const requests = made ? `, ${made} requests, ${open} open now` : ''
    this.#show('link', `connected ${times}${requests}`)
  }

  #status(status, hint = '') {
    this.#element.dataset.status = status
    this.#show('status', status)
    this.#show('hint', hint)
  }

  #count(name) {
    this.#counts[name] += 1
    Object.assign(this.#element.dataset, this.#counts)
    return this.#counts[name]
  }

  #show(name, text) {
    this.#find(`[data-show=${name}]`).textContent = text
  }

  #find(selector) {
    return this.#element.querySelector(selector)
  }
}

// An item of a list, in columns.
function line(words) {
  const line = document.createElement('li')
  line.innerHTML = words.map((word) => `<span>${word}</span>`).join('')
  return line
}
