#![no_main]

libfuzzer_sys::fuzz_target!(|actions: Vec<countersign_fuzz::actions::Action>| countersign_fuzz::actions::play(
    &actions
));
