//! I-01: evidence, and what makes it, can't be named outside.
use countersign::machine::check::code::CodeVerified;
use countersign::machine::login::grant::FactorProof;
use countersign::password::PasswordVerified;

fn main() {}
