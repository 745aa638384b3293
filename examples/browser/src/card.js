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

export class Card {
  // For whoever waits for the key, or for the end of all hope.
  settled
  #settle
  #element
  #chart
  #steps = []
  #pingsSent = new Map()
  #callTimes = []
  #pushes = []
  #requests = { made: 0, open: 0 }
  #connections = 0

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
    this.#status('connecting')
  }

  connected() {
    this.#connections += 1
    this.#status('connected')
    this.#showLink()
  }

  // The hint is for those who have never seen it work.
  failed(hint) {
    this.#status('no connection', this.#connections ? '' : hint)
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
  }

  hasKey(id) {
    this.#show('key', id)
    this.#element.dataset.key = id
    this.#status('ready')
    this.#settle()
  }

  called(ms) {
    this.#callTimes.push(ms)
    this.#chart.add('call', ms)
    this.#count('calls', this.#callTimes.length)
    const sorted = this.#callTimes.toSorted((one, other) => one - other)
    const [least, median] = [sorted[0], sorted[sorted.length >> 1]]
    this.#show('median', `${median.toFixed(1)} ms`)
    this.#element.dataset.median = median
    this.#show('range', `${least.toFixed(1)} to ${sorted.at(-1).toFixed(1)} ms`)
    this.#status('ready')
  }

  pushed({ number, count }) {
    const now = new Date()
    const before = this.#pushes.at(-1)?.at
    this.#pushes.push({ number, count, at: now, gap: before && now - before })
    this.#count('pushes', this.#pushes.length)
    this.#element.dataset.numbers = this.#pushes.map((push) => push.number).join()
    this.#find('[data-show=ticks]').replaceChildren(
      ...this.#pushes.slice(-PUSHES_SHOWN).reverse().map(row),
    )
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
    const ms = performance.now() - this.#pingsSent.get(pingId)
    this.#pingsSent.delete(pingId)
    this.#chart.add('ping', ms)
    this.#show('ping', `${ms.toFixed(1)} ms`)
    this.#count('pongs', Number(this.#element.dataset.pongs ?? 0) + 1)
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
    const times = this.#connections === 1 ? 'once' : `${this.#connections} times`
    const requests = made ? `, ${made} requests, ${open} open now` : ''
    this.#element.dataset.connections = this.#connections
    this.#show('link', `connected ${times}${requests}`)
  }

  #status(status, hint = '') {
    this.#element.dataset.status = status
    this.#show('status', status)
    this.#show('hint', hint)
  }

  #count(name, count) {
    this.#element.dataset[name] = count
    this.#show(name, count)
  }

  #show(name, text) {
    this.#find(`[data-show=${name}]`).textContent = text
  }

  #find(selector) {
    return this.#element.querySelector(selector)
  }
}

// A push as a line.
function row({ number, count, at, gap }) {
  const row = document.createElement('li')
  const time = at.toISOString().slice(11, 23)
  const words = [`tick ${number} of ${count}`, time, gap === undefined ? '' : `+${gap} ms`]
  row.innerHTML = words.map((word) => `<span>${word}</span>`).join('')
  return row
}
