// Round trips of the last half a minute, with now at the right: calls as a line, pings as dots.

const WIDTH = 320
const HEIGHT = 96
const SECONDS = 30
// The least number of milliseconds at the top.
const TOP_MIN = 2

export class Chart {
  #svg
  #samples = []

  constructor(svg) {
    this.#svg = svg
    svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`)
  }

  add(kind, ms) {
    this.#samples.push({ kind, ms, at: performance.now() })
  }

  // Forgets what is too old, and says how high it must be for the rest, in milliseconds.
  top() {
    const oldest = performance.now() - SECONDS * 1000
    this.#samples = this.#samples.filter((sample) => sample.at >= oldest)
    return roundUp(Math.max(TOP_MIN, ...this.#samples.map((sample) => sample.ms)))
  }

  draw(top) {
    const oldest = performance.now() - SECONDS * 1000
    const place = ({ at, ms }) => {
      const x = (at - oldest) / (SECONDS * 1000) * WIDTH
      const y = HEIGHT - ms / top * HEIGHT
      return [x.toFixed(1), y.toFixed(1)]
    }
    const of = (kind) => this.#samples.filter((sample) => sample.kind === kind).map(place)
    const [calls, pings] = [of('call'), of('ping')]
    const line = calls.map((point) => point.join()).join(' ')
    const [first, last] = [calls[0], calls.at(-1)]
    const area = first && `${first[0]},${HEIGHT} ${line} ${last[0]},${HEIGHT}`
    const half = HEIGHT / 2
    this.#svg.innerHTML = `
      <path class="grid" d="M0 0H${WIDTH} M0 ${half}H${WIDTH} M0 ${HEIGHT}H${WIDTH}"/>
      <polygon class="area" points="${area ?? ''}"/>
      <polyline class="line" points="${line}"/>
      ${pings.map(([x, y]) => `<circle class="ping" cx="${x}" cy="${y}" r="3"/>`).join('')}
      <text x="2" y="12">${top} ms</text>
      <text x="2" y="${half + 12}">${top / 2}</text>`
  }
}

// The next of 1, 2, 5, 10, 20, 50 and so on.
function roundUp(ms) {
  const power = 10 ** Math.floor(Math.log10(ms))
  return [1, 2, 5, 10].map((digit) => digit * power).find((round) => round >= ms)
}
