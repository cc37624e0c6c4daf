//! What must not compile: proofs that are made up, one-shot values that are copied or dropped,
//! secrets that print.
#![allow(missing_docs)]

/// I-01, I-02, I-22, I-25, I-35. The expected messages are beside each case; the compiler's wording
/// changes with its version.
#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
