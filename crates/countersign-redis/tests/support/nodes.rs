//! A cluster of three nodes.

use std::process::Command;
use std::time::{Duration, Instant};

use countersign::error::PluginError;
use countersign_testkit::skip;
use test_servers::servers::Server;

/// `None`: Redis is not installed.
pub fn start() -> Result<Option<Vec<Server>>, PluginError> {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        // Otherwise a node that is killed loses what it acknowledged while it waited for its disk.
        let arguments = [
            ["--cluster-enabled", "yes"],
            ["--appendonly", "yes"],
            ["--appendfsync", "always"],
            ["--cluster-node-timeout", "2000"],
        ]
        .concat();
        let Some(node) = Server::redis(&arguments)? else {
            skip("no Redis server is installed")?;
            return Ok(None);
        };
        nodes.push(node);
    }
    for (node, slots) in nodes.iter().zip([["0", "5460"], ["5461", "10922"], ["10923", "16383"]]) {
        command(node, &["CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1]])?;
        let first = nodes[0].port().to_string();
        command(node, &["CLUSTER", "MEET", "127.0.0.1", &first])?;
    }
    let started = Instant::now();
    while !nodes.iter().all(|node| {
        let info = command(node, &["CLUSTER", "INFO"]).unwrap();
        info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
    }) {
        assert!(started.elapsed() < Duration::from_secs(30), "the cluster does not form");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(Some(nodes))
}

/// What a node answers, without the line's end.
pub fn command(node: &Server, arguments: &[&str]) -> Result<String, PluginError> {
    let output = Command::new("redis-cli")
        .args(["-p", &node.port().to_string()])
        .args(arguments)
        .output()?;
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}
