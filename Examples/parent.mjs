// A parent in Node. Its bridge is killed while it waits for an answer from here; a second one is given the answer, and finishes the run.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const footbridge = resolve(process.env.FOOTBRIDGE || join(here, '../.build/release/footbridge'))
const folder = mkdtempSync(join(tmpdir(), 'footbridge-'))
const client = { protocolVersion: '2026-11-20', clientInfo: { name: 'parent.mjs', version: '1' }, capabilities: { tools: {} } }

class Bridge {
  #waiting = new Map()

  constructor(onInvoke) {
    // In this folder, because sales.json names its files from here.
    this.process = spawn(footbridge, ['--store', `sqlite:${folder}/runs.db`], { cwd: here, stdio: ['pipe', 'pipe', 'inherit'] })
    this.ended = new Promise((done) => this.process.on('close', (code, signal) => done(signal ?? code)))
    createInterface({ input: this.process.stdout }).on('line', (line) => {
      const message = JSON.parse(line)
      if (message.method === 'tool.invoke') onInvoke(message.params)
      else if (!message.method) this.#waiting.get(message.id)(message)
    })
  }

  request(method, params) {
    const id = this.#waiting.size + 1
    this.process.stdin.write(JSON.stringify({ jsonrpc: '2.0', id, method, params }) + '\n')
    return new Promise((done, failed) => this.#waiting.set(id, ({ result, error }) => error ? failed(new Error(error.message)) : done(result)))
  }
}

const readRows = ({ first, last }) => readFileSync(join(here, 'sales.csv'), 'utf8').split('\n').slice(first, last + 1).join('\n')

const first = new Bridge((call) => {
  console.log(`bridge 1 asks for ${call.name}, call ${call.callId}, attempt ${call.attempt}: it is killed while it waits`)
  first.process.kill('SIGKILL')
})
await first.request('initialize', client)
first.request('run.start', JSON.parse(readFileSync(join(here, 'sales.json'))))
console.log(`bridge 1 ended by ${await first.ended}`)

const second = new Bridge()
await second.request('initialize', client)
const { runId } = (await second.request('run.list', { status: 'waiting_client_tool' })).runs[0]
const [call] = (await second.request('run.get', { runId })).pendingToolCalls
console.log(`bridge 2 is given the result of ${call.name}, call ${call.callId}: the parent has read the rows`)
const results = [{ callId: call.callId, content: readRows(call.arguments) }]
const { answer, error } = await second.request('run.submitToolResults', { runId, results })
console.log(`answer: ${answer ?? assert.fail(error.message)}`)
const { events } = await second.request('run.events', { runId })
assert.deepEqual(events.map((event) => event.seq), events.map((_, index) => index + 1))
assert.deepEqual(events.filter((event) => event.type === 'tool.completed').map((event) => event.data.name), ['read_rows', 'add_up'])
console.log(`log: ${events.length} events without a gap, one result for each of the two calls: nothing lost, nothing doubled`)
second.process.stdin.end() // hangs up
await second.ended.then(() => rmSync(folder, { recursive: true }))
