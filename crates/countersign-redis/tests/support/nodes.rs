//! A cluster of three nodes.

use std::collections::HashSet;
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
    agreed(&nodes)?;
    Ok(Some(nodes))
}

/// What each node knows of every node: its id, its epoch and its slots.
pub fn views(nodes: &[Server]) -> Result<Vec<Vec<[String; 3]>>, PluginError> {
    let view = |node: &Server| {
        let said = command(node, &["CLUSTER", "NODES"])?;
        let mut known: Vec<[String; 3]> = said
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .filter(|parts| parts.len() >= 8)
            .map(|parts| [parts[0].to_owned(), parts[6].to_owned(), parts[8..].join(" ")])
            .collect();
        known.sort();
        Ok(known)
    };
    nodes.iter().map(view).collect()
}

/// Waits until all nodes know the same owners and epochs, and no two have the same epoch.
///
/// Otherwise a slot must not be moved. Two nodes of one epoch end that by taking a higher one each
/// for itself. If the earlier owner does so before it has heard of the move, its claim on the slot
/// is the newer one, and the new owner gives the slot back and deletes the keys.
pub fn agreed(nodes: &[Server]) -> Result<(), PluginError> {
    let started = Instant::now();
    loop {
        let views = views(nodes)?;
        let epochs = views[0].iter().map(|[_, epoch, _]| epoch).collect::<HashSet<_>>();
        let same = views.windows(2).all(|two| two[0] == two[1]);
        if same && views[0].len() == nodes.len() && epochs.len() == nodes.len() {
            return Ok(());
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{views:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What a node answers, without the line's end.
pub fn command(node: &Server, arguments: &[&str]) -> Result<String, PluginError> {
    let output = Command::new("redis-cli")
        .args(["-p", &node.port().to_string()])
        .args(arguments)
        .output()?;
    if !output.status.success() {
        return Err(PluginError::new(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}
