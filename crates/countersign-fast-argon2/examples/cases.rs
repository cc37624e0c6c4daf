//! Prints made-up hashes, one a line, for another implementation to compute again:
//! `memory passes lanes password salt pepper hash`, the last four in hexadecimal.
//!
//! `scripts/argon2_differential` gives them to the reference in C.

use std::io::Write;

use countersign::error::PluginError;
use countersign::password::{Argon2Backend, Argon2Input};
use countersign_fast_argon2::FastArgon2;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

fn bytes(random: &mut StdRng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    random.fill_bytes(&mut bytes);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    if bytes.is_empty() { "-".to_owned() } else { digits.collect() }
}

fn main() -> Result<(), PluginError> {
    let cases: u64 = std::env::args().nth(1).map_or(Ok(1_000), |number| number.parse())?;
    let mut random = StdRng::seed_from_u64(cases);
    let (mut arena, mut out) = (FastArgon2::new().arena(64), std::io::stdout().lock());
    for _ in 0..cases {
        let lanes: u32 =
            if random.random_range(0..3) == 0 { random.random_range(1..=32) } else { 1 };
        let least = lanes.saturating_mul(8);
        let [password, salt, pepper, length] =
            [0..=140, 8..=48, 0..=64, 4..=128].map(|range| random.random_range::<usize, _>(range));
        let (password, salt) = (bytes(&mut random, password), bytes(&mut random, salt));
        let pepper = bytes(&mut random, pepper);
        let mut input = Argon2Input::default();
        input.memory_kib = random.random_range(least..=least.max(16).saturating_mul(4));
        input.iterations = random.random_range(1..=4);
        input.lanes = lanes;
        input.password = &password;
        input.salt = &salt;
        input.pepper = (!pepper.is_empty()).then_some(&pepper);
        let mut output = vec![0; length];
        arena.hash(&input, &mut output)?;
        let (m, t) = (input.memory_kib, input.iterations);
        let [password, salt, pepper, output] =
            [&password, &salt, &pepper, &output].map(|bytes| hex(bytes));
        writeln!(out, "{m} {t} {lanes} {password} {salt} {pepper} {output}")?;
    }
    Ok(())
}
