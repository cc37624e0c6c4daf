//! The suite of the testkit.

mod support;

use countersign_testkit::servers;
use support::Keys;

countersign_testkit::factor_store_conformance!(async { Ok(servers::redis_url()?.map(|url| Keys::new(&url))) });
