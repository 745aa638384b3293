//! Key exchanges: what a server computes, what a client does, and the powers behind both.
//!
//! Exchanges are recorded once. One side's random numbers and the other side's messages are then
//! the same every time, so each side is measured alone.

use std::hint::black_box;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use grammers_crypto::rsa as grammers_rsa;
use mtproto_auth::client::{self, ClientConfig};
use mtproto_auth::server::{Exchange, ServerConfig, Step, Turn};
use mtproto_auth::{KeyKind, Query};
use mtproto_benches::{Bench, Case};
use mtproto_crypto::dh::{self, DhSecret, Group, WELL_KNOWN_PRIME};
use mtproto_crypto::rsa::{DecryptJob, RsaPrivateKey, decrypt_many};
use mtproto_crypto::{SeededRandom, pq};
use num_bigint::BigUint;

/// How many handshakes a server has in hand.
const BATCH: usize = 8;

fn main() {
    let mut bench = Bench::from_args("handshake");
    server(&mut bench);
    client(&mut bench);
    private_operation(&mut bench);
    power_of_g(&mut bench);
    power(&mut bench);
}

/// Everything that a server computes for a key, from the first query to the last answer.
fn server(bench: &mut Bench) {
    let [one, batch] = [1, BATCH].map(Recording::new);
    let (mut random, arithmetic) = (SeededRandom::new(5), Arithmetic::new());
    let cases = [
        Case::ours("ours", || one.server()),
        Case::ours("ours, 8 at once", || batch.server()).of(BATCH as u32),
        Case::limit("the arithmetic", || arithmetic.batch(&mut random)).of(BATCH as u32),
        Case::peer("num-bigint", || {
            // RSA by halves, g^a, g_b^a.
            let half = NUMBERS.half();
            (half.power(), half.power(), NUMBERS.power(), NUMBERS.power())
        }),
    ];
    bench.compare("a key, server", None, cases);
}

/// Everything that a client does for a key; the mean of several, since `pq` takes its time.
fn client(bench: &mut Bench) {
    let recording = Recording::new(BATCH);
    let (group, mut random, arithmetic) =
        (Group::well_known(), SeededRandom::new(6), Arithmetic::new());
    let n = BigUint::from_bytes_be(&WELL_KNOWN_PRIME).to_string();
    let key = grammers_rsa::Key::new(&n, "65537").unwrap();
    let cases = [
        Case::ours("ours", || recording.client()).of(BATCH as u32),
        Case::limit("the arithmetic", || {
            for pq in &recording.pqs {
                black_box(pq::factorize(black_box(*pq)));
                black_box(arithmetic.key.public().encrypt_pad(DATA, &mut random).unwrap());
                black_box(dh::agree(&group, &arithmetic.number, &mut random).unwrap());
            }
        })
        .of(BATCH as u32),
        Case::peer("grammers", || {
            for pq in &recording.pqs {
                black_box(grammers_crypto::factorize(black_box(*pq)));
                black_box(grammers_rsa::encrypt_hashed(DATA, &key, &[2; 224]));
                black_box((NUMBERS.power(), NUMBERS.power()));
            }
        })
        .of(BATCH as u32),
    ];
    bench.compare("a key, client", None, cases);
}

fn private_operation(bench: &mut Bench) {
    let (arithmetic, half) = (Arithmetic::new(), NUMBERS.half());
    let (mut random, mut batch_random) = (SeededRandom::new(7), SeededRandom::new(8));
    let cases = [
        Case::ours("ours", || decrypt_many(&[arithmetic.job()], &mut random)),
        Case::ours("ours, 8 at once", || {
            decrypt_many(&[arithmetic.job(); BATCH], &mut batch_random)
        })
        .of(BATCH as u32),
        Case::peer("num-bigint", || (half.power(), half.power())),
    ];
    bench.compare("RSA-2048 private", None, cases);
}

fn power_of_g(bench: &mut Bench) {
    let group = Group::well_known();
    let (mut random, mut batch_random) = (SeededRandom::new(9), SeededRandom::new(10));
    let (g, numbers) = (BigUint::from(dh::G), &*NUMBERS);
    let cases = [
        Case::ours("ours", || DhSecret::generate(&group, &mut random)),
        Case::ours("ours, 8 at once", || DhSecret::generate_many(&group, BATCH, &mut batch_random))
            .of(BATCH as u32),
        Case::peer("num-bigint", || black_box(&g).modpow(&numbers.exponent, &numbers.modulus)),
    ];
    bench.compare("g^a", None, cases);
}

fn power(bench: &mut Bench) {
    let arithmetic = Arithmetic::new();
    let cases = [
        Case::ours("ours", || arithmetic.secret.shared(&arithmetic.number).unwrap()),
        Case::ours("ours, 8 at once", || arithmetic.shared_by_all()).of(BATCH as u32),
        Case::peer("num-bigint", || NUMBERS.power()),
    ];
    bench.compare("g_b^a", None, cases);
}

/// Unix time in seconds.
const NOW: u32 = 1_700_000_000;

/// As long as what a client encrypts for a permanent key.
const DATA: &[u8] = &[1; 96];

/// Some exchanges that went on step by step, side by side.
struct Recording {
    server_config: ServerConfig,
    client_config: ClientConfig,
    server_random: SeededRandom,
    client_randoms: Vec<SeededRandom>,
    /// By step, then by exchange.
    queries: Vec<Vec<Query>>,
    answers: Vec<Vec<Bytes>>,
    pqs: Vec<u64>,
}

impl Recording {
    fn new(count: usize) -> Self {
        let mut random = SeededRandom::new(1);
        let key = RsaPrivateKey::generate(&mut random);
        let keys = Arc::new([key.public().clone()]);
        let client_config = ClientConfig { keys, dc: 2, kind: KeyKind::Permanent };
        let mut recording = Self {
            server_config: ServerConfig { keys: Arc::new([key]), dc: None, accept_old_rsa: false },
            client_config,
            server_random: SeededRandom::new(2),
            client_randoms: (0..count as u64).map(|n| SeededRandom::new(100 + n)).collect(),
            queries: Vec::new(),
            answers: Vec::new(),
            pqs: Vec::new(),
        };
        recording.record();
        let before = recording.answers.clone();
        assert_eq!(recording.server(), before[2], "an exchange goes the same way again");
        recording
    }

    fn record(&mut self) {
        let (mut randoms, mut random) = (self.client_randoms.clone(), self.server_random.clone());
        let start =
            |random: &mut SeededRandom| client::Exchange::start(self.client_config.clone(), random);
        let (mut clients, bodies): (Vec<_>, Vec<_>) = randoms.iter_mut().map(start).unzip();
        let mut queries: Vec<_> = bodies.iter().map(read).collect();
        let begun = queries.iter().map(|it| Exchange::start(it, &self.server_config, &mut random));
        let (mut servers, mut answers): (Vec<_>, Vec<_>) = begun.map(Result::unwrap).unzip();
        // `pq` follows the two nonces in `resPQ`, behind the byte of its length.
        let pq = |answer: &Bytes| u64::from_be_bytes(answer[37..45].try_into().unwrap());
        self.pqs = answers.iter().map(pq).collect();
        loop {
            self.queries.push(queries);
            self.answers.push(answers.clone());
            let each = clients.into_iter().zip(&answers).zip(&mut randoms);
            let steps = each.map(|((client, answer), random)| client.handle(answer, random));
            let next = steps.filter_map(|step| match step.unwrap() {
                client::Step::Query(client, body) => Some((client, read(&body))),
                client::Step::Done(_) => None,
            });
            (clients, queries) = next.unzip();
            if clients.is_empty() {
                return;
            }
            (servers, answers) = self.step(servers, &queries, &mut random);
        }
    }

    /// Lets the server's exchanges take their next queries together.
    fn step(
        &self,
        servers: Vec<Exchange>,
        queries: &[Query],
        random: &mut SeededRandom,
    ) -> (Vec<Exchange>, Vec<Bytes>) {
        let turn =
            |(state, query)| Turn { state, query, config: &self.server_config, server_time: NOW };
        let turns = servers.into_iter().zip(queries).map(turn).collect();
        let steps = Exchange::handle_all(turns, random).into_iter();
        let answered = steps.map(|step| match step.unwrap() {
            Step::Answer(server, answer) => (server, answer),
            Step::Candidate(candidate) => {
                let (server, answer) = candidate.ok();
                (Exchange::Finished(server), answer)
            }
        });
        answered.unzip()
    }

    /// The server's side again; returns the last answers.
    fn server(&self) -> Vec<Bytes> {
        let mut random = self.server_random.clone();
        let start = |query| Exchange::start(query, &self.server_config, &mut random).unwrap();
        let (mut servers, mut answers): (Vec<_>, Vec<_>) =
            self.queries[0].iter().map(start).unzip();
        for queries in &self.queries[1..] {
            (servers, answers) = self.step(servers, queries, &mut random);
        }
        answers
    }

    /// The clients' side again.
    fn client(&self) {
        for (n, random) in self.client_randoms.iter().enumerate() {
            let mut random = random.clone();
            let (mut client, _) = client::Exchange::start(self.client_config.clone(), &mut random);
            for answers in &self.answers {
                match client.handle(&answers[n], &mut random).unwrap() {
                    client::Step::Query(next, _) => client = next,
                    client::Step::Done(key) => {
                        black_box(key);
                        break;
                    }
                }
            }
        }
    }
}

fn read(body: &Bytes) -> Query {
    Query::decode(body).unwrap().unwrap()
}

/// What the costly steps are given.
struct Arithmetic {
    key: RsaPrivateKey,
    encrypted: [u8; 256],
    secret: DhSecret,
    number: [u8; 256],
}

impl Arithmetic {
    fn new() -> Self {
        let random = &mut SeededRandom::new(3);
        let key = RsaPrivateKey::generate(random);
        let encrypted = key.public().encrypt_pad(DATA, random).unwrap();
        let (secret, _) = DhSecret::generate(&Group::well_known(), random);
        let (_, number) = DhSecret::generate(&Group::well_known(), random);
        Self { key, encrypted, secret, number }
    }

    fn job(&self) -> DecryptJob<'_> {
        DecryptJob { key: &self.key, encrypted: &self.encrypted, old_lens: &[] }
    }

    fn shared_by_all(&self) -> Vec<Result<mtproto_crypto::AuthKey, dh::DhError>> {
        dh::shared_many(&[(&self.secret, &self.number[..]); BATCH])
    }

    /// All that a server cannot do without, for a batch.
    fn batch(&self, random: &mut SeededRandom) {
        black_box(decrypt_many(&[self.job(); BATCH], random));
        black_box(DhSecret::generate_many(&Group::well_known(), BATCH, random));
        black_box(self.shared_by_all());
    }
}

/// Numbers of full length for a power.
struct Numbers {
    base: BigUint,
    exponent: BigUint,
    modulus: BigUint,
}

static NUMBERS: LazyLock<Numbers> = LazyLock::new(|| Numbers::of(&WELL_KNOWN_PRIME));

impl Numbers {
    fn of(modulus: &[u8]) -> Self {
        let number = |seed| BigUint::from_bytes_be(&mtproto_benches::noise(modulus.len(), seed));
        let modulus = BigUint::from_bytes_be(modulus);
        Self { base: number(1) % &modulus, exponent: number(2), modulus }
    }

    /// The same with half as many bits.
    fn half(&self) -> Self {
        Self::of(&self.modulus.to_bytes_be()[128..])
    }

    fn power(&self) -> BigUint {
        black_box(&self.base).modpow(black_box(&self.exponent), &self.modulus)
    }
}
