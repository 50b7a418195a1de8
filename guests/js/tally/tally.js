// Keeps a count, and does as messages tell it. guests/README.md has the messages and their answers.
import { broadcast, cancelRequest, request, selfId, send } from 'isorun:actor/host-messaging@0.1.0';
import {
  currentTime, currentTimeMillis, getComponentMetadata, listComponents, log, sleepMillis,
} from 'isorun:actor/host-services@0.1.0';
import * as storage from 'isorun:actor/storage@0.1.0';

// Where a durable count is stored.
const SUM = 'sum';

// What it remembers between calls: `asked` is the request that was made last, `last` the outcome that came last.
const state = { settings: new Map(), restarts: 0, sum: 0n, asked: '', last: undefined, heard: 0 };

const text = bytes => new TextDecoder().decode(bytes);
const bytes = text => new TextEncoder().encode(text);
const payload = text => ({ data: bytes(text), contentType: undefined });
const rejected = reason => ({ tag: 'rejected', val: reason });
const failed = reason => ({ tag: 'failed', val: reason });

// What the call gives, or its error as text: an error of a result is thrown, as the payload of an exception.
function orText(call, inWords) {
  try {
    return call();
  } catch (e) {
    return inWords(e.payload ?? e);
  }
}

function messagingError({ tag, val }) {
  switch (tag) {
    case 'delivery-failed': return `delivery-failed${val.mayHaveArrived ? ', may have arrived' : ''}: ${val.reason}`;
    case 'invalid-message': return `invalid-message: ${val}`;
    case 'target-not-found': return `target-not-found: ${val}`;
    default: return tag;
  }
}

function storageError({ tag, val }) {
  return tag === 'quota-exceeded' ? tag : `${tag}: ${val}`;
}

// Up to nine digits, and a sign.
function number(text) {
  if (!/^-?[0-9]{1,9}$/.test(text)) throw rejected('no number');
  return BigInt(text);
}

function unsigned(text) {
  const n = number(text);
  if (n < 0n) throw rejected('no number');
  return n;
}

// What comes before the first space, and what after it.
function split(text) {
  const at = text.indexOf(' ');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

function trap() {
  // No value of the error's type: it can't be handed to the host.
  throw new Error('told to trap');
}

function spin() {
  for (;;);
}

// What `at-start` and `at-shutdown` may say.
function obey(name) {
  switch (state.settings.get(name)) {
    case 'fail': throw failed('told to fail');
    case 'reject': throw rejected('told to reject');
    case 'trap': return trap();
    case 'spin': return spin();
  }
}

// Adds, and stores the sum before it counts, where it is to last.
function add(n) {
  const sum = state.sum + n;
  if (state.settings.get('durable') === 'true') {
    try {
      storage.set(SUM, bytes(String(sum)));
    } catch (e) {
      throw rejected(storageError(e.payload ?? e));
    }
  }
  state.sum = sum;
  return String(sum);
}

const ANSWERS = {
  add: rest => add(number(rest)),
  get: () => String(state.sum),
  quiet: () => undefined,
  fail() { throw failed('told to fail'); },
  reject() { throw rejected('told to reject'); },
  trap,
  spin,
  forward(rest) {
    const [target, text] = split(rest);
    return orText(() => (send(target, payload(text)), 'ok'), messagingError);
  },
  ask(rest) {
    const [target, text] = split(rest);
    const timeoutMs = unsigned(state.settings.get('timeout-ms') ?? '5000');
    return orText(() => (state.asked = request(target, payload(text), timeoutMs)), messagingError);
  },
  cancel: () => String(cancelRequest(state.asked)),
  last: () => state.last ?? 'none',
  heard: () => String(state.heard),
  broadcast(rest) {
    const [targets, text] = split(rest);
    const went = broadcast(targets.split(','), payload(text));
    return went.map(one => (one.tag === 'ok' ? 'ok' : messagingError(one.val))).join('\n');
  },
  sleep(rest) {
    sleepMillis(unsigned(rest));
    return 'slept';
  },
  log(rest, msg) {
    log('info', rest, [['sum', String(state.sum)], ['sender', msg.sender]]);
    return 'logged';
  },
  who: () => [selfId(), ...listComponents()].join('\n'),
  about(rest) {
    const about = getComponentMetadata(rest);
    return about === undefined ? 'unknown' : `${about.name} ${about.version}`;
  },
  time: () => `${currentTimeMillis()} ${currentTime().seconds}`,
  store(rest) {
    const [key, value] = split(rest);
    return orText(() => (storage.set(key, bytes(value)), 'ok'), storageError);
  },
  load(rest) {
    return orText(() => {
      const found = storage.get(rest);
      return found === undefined ? 'absent' : text(found);
    }, storageError);
  },
  forget: rest => orText(() => String(storage.delete(rest)), storageError),
  has: rest => orText(() => String(storage.exists(rest)), storageError),
  keys: rest => orText(() => storage.listKeys(rest).join('\n'), storageError),
  usage: () => orText(() => {
    const usage = storage.usage();
    return `${usage.bytes} ${usage.keys} ${usage.quotaBytes} ${usage.quotaKeys}`;
  }, storageError),
  envelope: (_, msg) => `${msg.sender} ${msg.replyTo ?? '-'} ${msg.correlationId ?? '-'}`,
  setting: rest => state.settings.get(rest) ?? 'absent',
  restarts: () => String(state.restarts),
};

export const componentLifecycle = {
  initialize(config) {
    state.settings = new Map(config.settings.toReversed());
    state.restarts = config.restarts;
    if (state.settings.get('durable') === 'true') {
      let sum;
      try {
        sum = storage.get(SUM);
      } catch (e) {
        throw failed(storageError(e.payload ?? e));
      }
      if (sum !== undefined) {
        if (!/^-?[0-9]{1,18}$/.test(text(sum))) throw failed('no sum');
        state.sum = BigInt(text(sum));
      }
    }
    obey('at-start');
  },

  handleMessage(msg) {
    const { data, contentType } = msg.payload;
    const space = data.indexOf(32);
    const word = text(space < 0 ? data : data.subarray(0, space));
    const rest = space < 0 ? new Uint8Array() : data.subarray(space + 1);
    if (word === 'echo') return { data: rest, contentType };
    if (!Object.hasOwn(ANSWERS, word)) throw rejected('not understood');
    const answer = ANSWERS[word](text(rest), msg);
    return answer === undefined ? undefined : payload(answer);
  },

  handleCallback(msg) {
    const { tag, val } = msg.outcome;
    const outcome = {
      replied: () => `replied: ${text(val.data)}`,
      'no-reply': () => tag,
      refused: () => `refused: ${val}`,
      failed: () => `failed: ${messagingError(val)}`,
    }[tag]();
    state.heard++;
    state.last = `${msg.correlationId} ${msg.target} ${outcome}`;
  },

  metadata: () => ({
    name: 'tally',
    version: '0.1.0',
    description: 'keeps a count, and does as messages tell it',
    properties: [['language', 'javascript']],
  }),

  health: () => (state.sum < 0n
    ? { status: 'degraded', reason: 'the count is negative' }
    : { status: 'healthy', reason: undefined }),

  shutdown() {
    obey('at-shutdown');
  },
};
