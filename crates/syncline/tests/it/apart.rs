//! Two nodes on networks of their own with a cable between them, which is cut.

mod slow {
    use std::fs;
    use std::io::Write as _;
    use std::process::{Child, ChildStdin, Command, Stdio};
    use std::time::{Duration, Instant};

    use crate::alerts::rules;
    use crate::support::World;

    /// Two networks with a cable between them, a process that serves on each, and orders from standard input: `cut`, `join`.
    /// At its end both are ended.
    const NETWORKS: &str = r#"
set -e
program=$1 here=$2 there=$3 pid=$4
ip link set lo up
unshare --net sh -c '
    echo $$ > "$3.new" && mv "$3.new" "$3"
    until ip link show there > /dev/null 2>&1; do sleep 0.1; done
    ip link set lo up; ip addr add 192.0.2.2/24 dev there; ip link set there up
    cd "$2"; exec "$1" serve' sh "$program" "$there" "$pid" &
other=$!
until [ -s "$pid" ]; do sleep 0.1; done
ip link add here type veth peer name there netns "$(cat "$pid")"
ip addr add 192.0.2.1/24 dev here; ip link set here up
(cd "$here"; exec "$program" serve) &
own=$!
while read -r order; do
    case $order in cut) ip link set here down ;; join) ip link set here up ;; esac
done
kill "$own" "$other"
wait
"#;

    struct Networks {
        child: Child,
        orders: Option<ChildStdin>,
    }

    impl Networks {
        fn start(here: &World, there: &World) -> Self {
            let (program, pid) = (env!("CARGO_BIN_EXE_syncline"), here.path("pid"));
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "--net", "sh", "-c", NETWORKS, "sh", program]);
            command.args([here.local(""), there.local(""), pid]).env_remove("SYNCLINE_CONFIG");
            let started = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let mut child = started.expect("unshare is part of util-linux");
            let orders = child.stdin.take();
            Self { child, orders }
        }

        fn order(&mut self, what: &str) {
            writeln!(self.orders.as_mut().unwrap(), "{what}").unwrap();
        }
    }

    impl Drop for Networks {
        fn drop(&mut self) {
            // Without orders it ends both, and itself.
            self.orders.take();
            let _ = self.child.wait();
        }
    }

    fn configure(world: &World, own: &str, other: &str, [listen, address]: [&str; 2]) {
        fs::write(world.path("key"), "a secret of both").unwrap();
        world.configure(&format!(
            "version: \"1.0\"\nnode: {{ name: {own}, state_files: sync }}\nalerts: {{ gather: 1s, calm: 1s, \
             disk_free_percent: 0, memory_free_percent: 0 }}\npeers:\n  listen: \"{listen}\"\n  every: 15s\n  \
             down_after: 30s\n  key: \"${{file:../key}}\"\n  nodes: {{ {other}: {{ address: \"{address}\" }} }}\n\
             targets:\n  main: {{ path: kept, remote: {{ kind: folder, path: ../remote }}, schedule: every 1h }}\n"
        ));
    }

    fn state(world: &World) -> String {
        world.json(0, &["peers"])["peers"][0]["state"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn in_the_end(what: &str, mut holds: impl FnMut() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < Duration::from_secs(400), "never: {what}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    #[test]
    fn a_cable_that_is_cut_is_told_on_both_sides_and_over_when_it_is_mended() {
        let (here, there) = (World::new(), World::new());
        configure(&here, "here", "there", ["192.0.2.1:8765", "192.0.2.2:8765"]);
        configure(&there, "there", "here", ["192.0.2.2:8765", "192.0.2.1:8765"]);
        let mut networks = Networks::start(&here, &there);
        let both = |of: &dyn Fn(&World) -> bool| of(&here) && of(&there);
        in_the_end("they believe each other to be alive", || both(&|world| state(world) == "alive"));
        assert!(both(&|world| rules(world).is_empty()));
        networks.order("cut");
        in_the_end("both miss the other", || {
            both(&|world| state(world) == "down" && rules(world) == ["peer_down"])
        });
        let file = |world: &World, name: &str| world.read_local(&format!("sync/{name}")).unwrap();
        in_the_end("other programs can read it", || {
            file(&here, "peer_there_state.json").contains("\"state\": \"down\"")
                && file(&here, "monitor_status.json").contains("peer_down")
        });
        assert!(file(&here, "sync_state.json").contains("\"node\": \"here\""));
        networks.order("join");
        in_the_end("it is over on both sides", || {
            both(&|world| state(world) == "alive" && rules(world).is_empty())
        });
    }
}
