//! The suite of the testkit, with prepared statements and without.

mod support;

use support::{Budget, Schema};
use test_servers::servers;

mod prepared {
    use super::*;

    countersign_testkit::factor_store_conformance!(async {
        Ok(servers::postgres_url()?.map(|url| Schema::new(&url)))
    });
}

mod unprepared {
    use super::*;

    countersign_testkit::factor_store_conformance!(async {
        Ok(servers::postgres_url()?
            .map(|url| Schema { prepared: Some(false), ..Schema::new(&url) }))
    });
}

mod budget {
    use super::*;

    countersign_testkit::send_budget_conformance!(async {
        Ok(servers::postgres_url()?.map(|url| Budget(Schema::new(&url))))
    });
}
