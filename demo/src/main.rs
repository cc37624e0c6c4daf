//! The demo with countersign's own password hashes.

use std::process::ExitCode;

use countersign::error::report;
use countersign_tokio::BlockingPool;

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = countersign_demo::run(BlockingPool::default()).await else {
        return ExitCode::SUCCESS;
    };
    eprintln!("{}", report(&*error));
    ExitCode::FAILURE
}
