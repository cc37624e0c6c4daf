//! I-01: evidence, and what makes it, can't be named outside.
use countersign::machine::Evidence;
use countersign::machine::pending::Completion;
use countersign::password::PasswordVerified;

fn main() {}
