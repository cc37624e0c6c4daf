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

const MEMORY_KIB: u32 = 1_024;

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
    let (mut found, mut searched) = (0, 0);
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let range = line.split(' ').next().unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        if memory.seek(SeekFrom::Start(start)).is_err() || memory.read_exact(&mut bytes).is_err() {
            continue; // pages that the kernel shows to nobody
        }
        searched += bytes.len();
        for needle in needles {
            found += bytes.windows(needle.0.len()).filter(|window| needle.is_at(window)).count();
        }
        bytes.fill(0);
        std::hint::black_box(&bytes);
    }
    assert!(searched > MEMORY_KIB as usize * 1_024, "{searched} bytes could be read");
    found
}

/// Prints, masked, what one hash leaves in its memory if nobody wipes it. In a process of its own,
/// since it leaves that here too.
fn print_needles() {
    let params = Params::new(MEMORY_KIB, 1, 1, Some(32)).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let (mut memory, mut output) = (vec![Block::new(); MEMORY_KIB as usize], [0; 32]);
    argon2.hash_password_into_with_memory(PASSWORD, SALT, &mut output, &mut memory).unwrap();
    // Not the last one: only the hash itself follows from it, and it is copied on the stack.
    for at in [0, 1, 2, memory.len() / 2, memory.len() - 2] {
        let words: &[u64] = memory[at].as_ref();
        let bytes = words[..4].iter().flat_map(|word| word.to_le_bytes());
        let masked: Vec<String> = bytes.map(|byte| (byte ^ MASK).to_string()).collect();
        println!("needle {}", masked.join(" "));
    }
}

fn needles() -> Vec<Needle> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["nothing_of_a_hash_is_left_in_memory", "--exact", "--nocapture"])
        .env(PRINTS, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines = printed.lines().filter_map(|line| line.split_once("needle "));
    let numbers = |(_, line): (&str, &str)| {
        Needle(line.split(' ').map(|byte| byte.parse().unwrap()).collect())
    };
    lines.map(numbers).collect()
}

/// Set for the process that prints them.
const PRINTS: &str = "COUNTERSIGN_TEST_PRINTS_NEEDLES";

const PASSWORD: &[u8] = b"correct horse battery staple";
const SALT: &[u8] = &[7; 16];

#[test]
fn nothing_of_a_hash_is_left_in_memory() {
    if std::env::var_os(PRINTS).is_some() {
        return print_needles();
    }
    let needles = needles();
    assert_eq!(needles.len(), 5);
    assert_eq!(found(&needles), 0);
    // Control: it finds what is there.
    let mut there = Vec::with_capacity(1_024); // which never moves
    there.extend(needles.iter().flat_map(Needle::unmasked));
    assert!(found(&needles) >= 5);
    there.fill(0);
    std::hint::black_box(&there);
    assert_eq!(found(&needles), 0);

    let mut arena = FastArgon2::new().arena();
    let mut output = [0; 32];
    let mut input = Argon2Input::default();
    (input.memory_kib, input.iterations, input.lanes) = (MEMORY_KIB, 1, 1);
    (input.password, input.salt) = (PASSWORD, SALT);
    arena.hash(&input, &mut output).unwrap();
    assert_eq!(found(&needles), 0, "the arena is kept");
    drop(arena);
    assert_eq!(found(&needles), 0);
}
