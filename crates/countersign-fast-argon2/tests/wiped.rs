//! What a hash leaves in memory: nothing from which a guess could be tested (`I-22`). The memory of
//! this process is searched for it, as a core dump would be.
#![cfg(target_os = "linux")]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::process::Command;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use countersign::password::{Argon2Backend, Argon2Input};
use countersign_fast_argon2::FastArgon2;

/// Bytes to look for, kept in another form, so that what looks for them is not what is found.
struct Needle(Vec<u8>);

const MASK: u8 = 0xA5;

impl Needle {
    fn unmasked(&self) -> impl Iterator<Item = u8> {
        self.0.iter().map(|byte| byte ^ MASK)
    }

    fn is_at(&self, window: &[u8]) -> bool {
        window.iter().zip(&self.0).all(|(byte, masked)| byte ^ MASK == *masked)
    }
}

/// How often these are found in everything that this process can write to.
fn found(needles: &[Needle]) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = File::open("/proc/self/mem").unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let range = line.split(' ').next().unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        memory.seek(SeekFrom::Start(start)).unwrap();
        match memory.read_exact(&mut bytes) {
            Ok(()) => {}
            // The kernel's own, which it shows to nobody.
            Err(_) if line.contains("[v") => {}
            Err(error) => panic!("{line}: {error}"),
        }
        for needle in needles {
            found += bytes.windows(needle.0.len()).filter(|window| needle.is_at(window)).count();
        }
        bytes.fill(0);
        std::hint::black_box(&bytes);
    }
    found
}

/// Prints, masked, what a guess could be tested with: the hash that the first blocks are made of,
/// and blocks that one hash leaves in its memory if nobody wipes it. In a process of its own, since
/// it leaves them here too.
fn print_needles(memory_kib: u32) {
    let params = Params::new(memory_kib, 1, 1, Some(32)).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let (mut memory, mut output) = (vec![Block::new(); memory_kib as usize], [0; 32]);
    argon2.hash_password_into_with_memory(PASSWORD, SALT, &mut output, &mut memory).unwrap();
    // RFC 9106, section 3.2, step 1: H0.
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let mut input = Vec::new();
    for number in [1, 32, memory_kib, 1, 0x13, 2] {
        input.extend(number.to_le_bytes());
    }
    for part in [PASSWORD, SALT, &[], &[]] {
        input.extend(length(part));
        input.extend(part);
    }
    let mut first = [0; 64];
    argon2_rust::blake2b(&mut first, &input).unwrap();
    print(&first[..32]);
    // Not the last block: only the hash itself follows from it, and it is copied on the stack.
    for at in [0, 1, 2, memory.len() / 2, memory.len() - 2] {
        let words: &[u64] = memory[at].as_ref();
        print(&words[..4].iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>());
    }
}

fn print(needle: &[u8]) {
    let masked: Vec<String> = needle.iter().map(|byte| (byte ^ MASK).to_string()).collect();
    println!("needle {}", masked.join(" "));
}

fn needles(memory_kib: u32) -> Vec<Needle> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["no_block_of_a_hash_is_left_in_memory", "--exact", "--nocapture"])
        .env(PRINTS, memory_kib.to_string())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines = printed.lines().filter_map(|line| line.split_once("needle "));
    let numbers = |(_, line): (&str, &str)| {
        Needle(line.split(' ').map(|byte| byte.parse().unwrap()).collect())
    };
    let needles: Vec<_> = lines.map(numbers).collect();
    assert_eq!(needles.len(), 6);
    needles
}

/// Set for the process that prints them.
const PRINTS: &str = "COUNTERSIGN_TEST_PRINTS_NEEDLES";

const PASSWORD: &[u8] = b"correct horse battery staple";
const SALT: &[u8] = &[7; 16];

/// I-22: nothing from which a guess could be tested cheaply, also after a smaller hash in the same
/// memory; in memory on the heap (1 MiB) and in memory that is mapped (19 MiB, as a login's is).
#[test]
fn no_block_of_a_hash_is_left_in_memory() {
    if let Ok(memory_kib) = std::env::var(PRINTS) {
        return print_needles(memory_kib.parse().unwrap());
    }
    if let Err(error) = File::open("/proc/self/mem") {
        assert!(std::env::var_os("COUNTERSIGN_REQUIRE_SERVERS").is_none(), "{error}");
        println!("SKIPPED: the memory of this process can't be read: {error}");
        return;
    }
    for memory_kib in [1_024, 19_456] {
        let needles = needles(memory_kib);
        assert_eq!(found(&needles), 0);
        // Control: it finds what is there, in memory of the same kind.
        let mut there = Vec::with_capacity(memory_kib as usize * 1_024); // which never moves
        there.extend(needles.iter().flat_map(Needle::unmasked));
        assert!(found(&needles) >= needles.len());
        there.fill(0);
        std::hint::black_box(&there);
        drop(there);
        assert_eq!(found(&needles), 0);

        let mut arena = FastArgon2::new().arena(memory_kib);
        let mut output = [0; 32];
        let mut input = Argon2Input::default();
        (input.iterations, input.lanes) = (1, 1);
        (input.password, input.salt) = (PASSWORD, SALT);
        for memory in [memory_kib, 64] {
            input.memory_kib = memory;
            arena.hash(&input, &mut output).unwrap();
            assert_eq!(found(&needles), 0, "the arena is kept");
        }
        drop(arena);
        assert_eq!(found(&needles), 0);
    }
}
