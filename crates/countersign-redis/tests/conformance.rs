//! The suite of the testkit.

mod support;

use support::{Budget, Keys};
use test_servers::servers;

countersign_testkit::factor_store_conformance!(async {
    Ok(servers::redis_url()?.map(|url| Keys::new(&url)))
});

mod budget {
    use super::*;

    countersign_testkit::send_budget_conformance!(async {
        Ok(servers::redis_url()?.map(|url| Budget(Keys::new(&url))))
    });
}
