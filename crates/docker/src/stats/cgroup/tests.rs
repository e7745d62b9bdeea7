//! Trees of files as kernels write them, read by the real code; and processes that end.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use shipslog_core::id::ContainerId;
use shipslog_core::stats::{CollectorShare, Counters, CpuCounters, IoCounters, MemoryCounters};
use shipslog_core::time::Timestamp;
use tempfile::TempDir;

use super::Obstacle;
use super::life::Life;
use super::table::{Answer, Run, Table};

const ID: &str = "4039a0bfeeeccec525df3f8960a4604a2d959211c5cc690a113ca84f5b942aa9";
const MIB: u64 = 1 << 20;

/// A copy of what a host shows.
struct Tree(TempDir);

impl Tree {
    /// The parts that are the same under every version of control groups: processes, processors, memory.
    fn host() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.with(
            "proc/stat",
            "cpu  1103666 10318 227399 1181328 10327 7 3267 1731 5 3\n\
             cpu0 540128 4878 105384 614646 2944 0 185 868 0 0\n\
             cpu1 563537 5440 122014 566682 7383 7 3082 863 5 3\n\
             intr 15334783 0 0 0\nctxt 27043912\nbtime 1795230000\nprocs_running 2\n",
        )
        .with(
            "proc/meminfo",
            "MemTotal:       24684096 kB\nMemFree:        20000000 kB\n",
        )
        .with("proc/42/stat", "42 (a (b) c) S 1 42 42 0 -1 4194560 1022 0 0 0\n")
        .with("proc/42/net/dev", NET_DEV)
    }

    /// A host with cgroup v2 alone, whose process 42 is in `group`.
    fn v2(group: &str) -> Self {
        Self::host()
            .with(
                "proc/self/mountinfo",
                "24 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
                 35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n",
            )
            .with("proc/42/cgroup", &format!("0::{group}\n"))
    }

    /// The files of a group with all controllers.
    fn with_v2_files(self, group: &str) -> Self {
        let file = |name: &str| format!("sys/fs/cgroup{group}/{name}");
        self.with(&file("cpu.stat"), CPU_STAT)
            .with(&file("memory.current"), "104857600\n")
            .with(&file("memory.stat"), MEMORY_STAT)
            .with(&file("memory.max"), "max\n")
            .with(&file("io.stat"), IO_STAT)
            .with(&file("cgroup.events"), "populated 1\nfrozen 0\n")
    }

    /// A host with cgroup v1, each controller of `names` mounted for itself, whose process 42 is in `group`.
    fn v1(names: &[&str], group: &str) -> Self {
        let mounts = names.iter().map(|name| {
            format!("35 31 0:32 / /sys/fs/cgroup/{name} rw,relatime shared:9 - cgroup cgroup rw,{name}\n")
        });
        let members = names
            .iter()
            .enumerate()
            .map(|(i, name)| format!("{i}:{name}:{group}\n"));
        Self::host()
            .with("proc/self/mountinfo", &mounts.collect::<String>())
            .with(
                "proc/42/cgroup",
                &format!("{}1:name=systemd:{group}\n", members.collect::<String>()),
            )
    }

    fn with_v1_files(self, cpuacct: &str, group: &str) -> Self {
        let file = |controller: &str, name: &str| format!("sys/fs/cgroup/{controller}{group}/{name}");
        self.with(&file(cpuacct, "cpuacct.usage"), "31778341\n")
            .with(&file("memory", "memory.usage_in_bytes"), "5000192\n")
            .with(
                &file("memory", "memory.stat"),
                "cache 9\ninactive_file 1\ntotal_cache 9\ntotal_inactive_file 1000000\ntotal_active_file 3\n",
            )
            .with(&file("memory", "memory.limit_in_bytes"), "9223372036854771712\n")
            .with(&file("blkio", "blkio.throttle.io_service_bytes"), THROTTLE)
            .with(&file("freezer", "freezer.state"), "THAWED\n")
    }

    fn with(self, path: &str, text: &str) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn without(self, path: &str) -> Self {
        fs::remove_file(self.0.path().join(path)).unwrap();
        self
    }

    fn table(&self) -> Table {
        Table::new(self.0.path().to_owned(), 100)
    }

    #[track_caller]
    fn read(&self) -> Counters {
        let mut table = self.table();
        table.follow(vec![(id(), process_42())], Instant::now());
        match table.read(&[id()], Instant::now()).remove(0) {
            Answer::Read(counters) => counters,
            other => panic!("{other:?}, {:?}", table.status()),
        }
    }

    /// Why it cannot be read.
    #[track_caller]
    fn obstacle(&self) -> String {
        let mut table = self.table();
        table.follow(vec![(id(), process_42())], Instant::now());
        let answer = table.read(&[id()], Instant::now()).remove(0);
        assert!(matches!(answer, Answer::Obstructed), "{answer:?}");
        assert_eq!(table.status().kind, "docker_api");
        table.status().reason.unwrap()
    }
}

fn id() -> ContainerId {
    ID.parse().unwrap()
}

fn started() -> Option<Timestamp> {
    Some("2026-11-21T02:39:42.123456789Z".parse().unwrap())
}

fn process_42() -> Run {
    Run {
        id: ID.to_owned(),
        pid: 42,
        started_at: started(),
        own_network: true,
    }
}

fn moved(read: u64, written: u64) -> Option<IoCounters> {
    Some(IoCounters { read, written })
}

const NET_DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     777       5    0    0    0     0          0         0      777       5    0    0    0     0       0          0
  eth0:     486       5    0    0    0     0          0         0       70       1    0    0    0     0       0          0
  eth1:1000000000000       5    0    0    0     0          0         0        2       1    0    0    0     0       0          0
docker0:      9       5    0    0    0     0          0         0        9       5    0    0    0     0       0          0
veth12a:      9       5    0    0    0     0          0         0        9       5    0    0    0     0       0          0
";

const CPU_STAT: &str = "usage_usec 5283123\nuser_usec 2512000\nsystem_usec 2771123\ncore_sched.force_idle_usec 0\nnr_periods 0\n\
                        nr_throttled 0\nthrottled_usec 0\nnr_bursts 0\nburst_usec 0\n";

const MEMORY_STAT: &str = "anon 70008832\nfile 30408704\nkernel 4194304\nkernel_stack 98304\npagetables 286720\nsec_pagetables 0\n\
                           percpu 23040\nsock 4096\nvmalloc 0\nshmem 0\nzswap 0\nzswapped 0\nfile_mapped 4325376\nfile_dirty 0\n\
                           file_writeback 0\nswapcached 0\nanon_thp 0\nfile_thp 0\nshmem_thp 0\ninactive_anon 69996544\n\
                           active_anon 12288\ninactive_file 20971520\nactive_file 9437184\nunevictable 0\n\
                           slab_reclaimable 1890344\nslab_unreclaimable 361080\nslab 2251424\nworkingset_refault_anon 0\n\
                           workingset_refault_file 0\npgfault 6124\npgmajfault 12\n";

/// With a device of which the kernel knows nothing yet, which some kernels list all the same.
const IO_STAT: &str = "7:0 \n254:0 rbytes=4096 wbytes=62926848 rios=1 wios=181 dbytes=62914560 dios=60\n\
                       253:1 rbytes=4 wbytes=5 rios=1 wios=1 dbytes=0 dios=0\n";

const THROTTLE: &str = "254:0 Read 4096\n254:0 Write 62926848\n254:0 Sync 125845504\n254:0 Async 0\n254:0 Discard 62914560\n\
                        254:0 Total 125845504\n253:1 Read 4\n253:1 Write 5\n253:1 Total 9\nTotal 125845513\n";

#[test]
fn a_container_under_cgroup_v2_has_all_counters() {
    let group = format!("/system.slice/docker-{ID}.scope");
    let counters = Tree::v2(&group).with_v2_files(&group).read();
    assert!(counters.read_at.is_some_and(|at| at > started().unwrap()));
    let expected = Counters {
        read_at: counters.read_at,
        started_at: started(),
        paused: false,
        cpu: Some(CpuCounters {
            total_ns: 5_283_123_000,
            // The first seven columns, in hundredths of a second.
            system_ns: (1_103_666 + 10_318 + 227_399 + 1_181_328 + 10_327 + 7 + 3_267) * 10_000_000,
            online: 2,
        }),
        memory: Some(MemoryCounters {
            usage: 100 * MIB,
            inactive_file: 20 * MIB,
            limit: 0,
        }),
        network: moved(1_000_000_000_486, 72),
        block: moved(4_100, 62_926_853),
    };
    assert_eq!(counters, expected);
}

#[test]
fn a_container_under_cgroup_v1_has_all_counters() {
    let group = format!("/docker/{ID}");
    let controllers = ["cpu", "cpuacct", "memory", "blkio", "freezer", "pids"];
    let tree = Tree::v1(&controllers, &group).with_v1_files("cpuacct", &group);
    let counters = tree.read();
    assert_eq!(counters.cpu.unwrap().total_ns, 31_778_341);
    let memory = MemoryCounters {
        usage: 5_000_192,
        inactive_file: 1_000_000,
        limit: 0,
    };
    assert_eq!((counters.memory, counters.paused), (Some(memory), false));
    assert_eq!(
        (counters.network, counters.block),
        (moved(1_000_000_000_486, 72), moved(4_100, 62_926_853))
    );
}

#[test]
fn controllers_of_v1_may_share_a_mount_and_v2_may_be_mounted_beside_them() {
    let group = format!("/system.slice/docker-{ID}.scope");
    let hybrid = Tree::host()
        .with(
            "proc/self/mountinfo",
            "35 31 0:32 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             36 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             37 31 0:34 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n\
             38 31 0:35 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw shared:4 master:2 - cgroup2 cgroup2 rw\n",
        )
        .with(
            "proc/42/cgroup",
            &format!("9:name=systemd:{group}\n7:blkio:{group}\n6:freezer:{group}\n4:memory:{group}\n2:cpu,cpuacct:{group}\n0::{group}\n"),
        )
        .with(&format!("sys/fs/cgroup/unified{group}/cpu.stat"), "usage_usec 1\n")
        .with_v1_files("cpu,cpuacct", &group);
    let counters = hybrid.read();
    assert_eq!(counters.cpu.unwrap().total_ns, 31_778_341);
    assert!(counters.memory.is_some() && counters.block.is_some());
}

#[test]
fn a_container_that_sorts_its_processes_into_groups_is_counted_whole() {
    let group = format!("/system.slice/docker-{ID}.scope");
    let tree = Tree::v2(&format!("{group}/init.scope")).with_v2_files(&group);
    let part = format!("sys/fs/cgroup{group}/init.scope/cpu.stat");
    assert_eq!(
        tree.with(&part, "usage_usec 1\n").read().cpu.unwrap().total_ns,
        5_283_123_000
    );
}

#[test]
fn the_group_is_where_the_process_says_whatever_it_is_called() {
    for group in [
        format!("/kubepods.slice/pod7.slice/cri-containerd-{ID}.scope"),
        format!("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope"),
        format!("/docker/5d1c/docker/{ID}"),
        format!("/a parent: of its own/{ID}"),
    ] {
        assert_eq!(
            Tree::v2(&group)
                .with_v2_files(&group)
                .read()
                .cpu
                .unwrap()
                .total_ns,
            5_283_123_000,
            "{group}"
        );
    }
}

#[test]
fn a_part_of_the_groups_may_be_mounted_and_at_an_odd_place() {
    let mounts = "35 24 0:30 /system.slice /mnt/control\\040groups\\134x rw - cgroup2 none rw\n\
                  36 24 0:30 /other /mnt/other rw - cgroup2 none rw\n";
    let group = format!("/system.slice/docker-{ID}.scope");
    let tree = Tree::v2(&group)
        .with_v2_files(&group)
        .with("proc/self/mountinfo", mounts);
    assert_eq!(tree.obstacle(), "its cgroup is not mounted here");
    let to = tree.0.path().join("mnt/control groups\\x");
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::rename(tree.0.path().join("sys/fs/cgroup/system.slice"), to).unwrap();
    assert_eq!(tree.read().block, moved(4_100, 62_926_853));
}

#[test]
fn inside_a_container_the_groups_of_others_are_seen_if_they_are_mounted() {
    // With a name space of its own, paths go up from its own group.
    let group = format!("/../docker-{ID}.scope");
    let tree = Tree::v2(&group);
    assert_eq!(tree.obstacle(), "its cgroup is not mounted here");
    let mounts = "35 24 0:30 /.. /host/cgroup ro - cgroup2 cgroup rw\n";
    let files = format!("/../../../host/cgroup/docker-{ID}.scope");
    let tree = tree.with("proc/self/mountinfo", mounts);
    fs::create_dir_all(tree.0.path().join("sys/fs/cgroup")).unwrap();
    assert!(tree.with_v2_files(&files).read().memory.is_some());
}

#[test]
fn what_moved_nothing_has_moved_zero_bytes() {
    let group = format!("/docker/{ID}");
    let io = format!("sys/fs/cgroup{group}/io.stat");
    let tree = Tree::v2(&group).with_v2_files(&group).with(&io, "");
    assert_eq!(tree.read().block, moved(0, 0));
    let throttle = format!("sys/fs/cgroup/blkio{group}/blkio.throttle.io_service_bytes");
    let tree = Tree::v1(&["cpuacct", "memory", "blkio"], &group).with_v1_files("cpuacct", &group);
    assert_eq!(tree.with(&throttle, "Total 0\n").read().block, moved(0, 0));
}

#[test]
fn the_old_scheduler_counts_before_the_throttle_where_it_names_a_device() {
    let group = format!("/docker/{ID}");
    let scheduler = format!("sys/fs/cgroup/blkio{group}/blkio.io_service_bytes_recursive");
    let tree = Tree::v1(&["cpuacct", "memory", "blkio"], &group).with_v1_files("cpuacct", &group);
    let tree = tree.with(&scheduler, "Total 0\n");
    assert_eq!(tree.read().block, moved(4_100, 62_926_853));
    let tree = tree.with(&scheduler, "8:0 Read 1\n8:0 Write 2\n8:0 Total 3\nTotal 3\n");
    assert_eq!(tree.read().block, moved(1, 2));
}

#[test]
fn what_the_kernel_does_not_account_is_unknown() {
    let group = format!("/docker/{ID}");
    let bare = Tree::v2(&group).with(&format!("sys/fs/cgroup{group}/cpu.stat"), CPU_STAT);
    let counters = bare.read();
    assert_eq!(
        (counters.memory, counters.block, counters.paused),
        (None, None, false)
    );
    assert_eq!(counters.cpu.unwrap().total_ns, 5_283_123_000);
    let only_cpu = Tree::v1(&["cpuacct"], &group).with_v1_files("cpuacct", &group);
    assert_eq!((only_cpu.read().memory, only_cpu.read().block), (None, None));
    let no_clock = Tree::v2(&group).with_v2_files(&group).without("proc/stat");
    assert_eq!(no_clock.read().cpu, None);
}

#[test]
fn a_limit_is_the_kernels_and_no_more_than_the_machine_has() {
    let group = format!("/docker/{ID}");
    let tree = Tree::v2(&group).with_v2_files(&group);
    let mut table = tree.table();
    table.follow(vec![(id(), process_42())], Instant::now());
    let mut now = Instant::now();
    let mut limit = |text: &str| {
        fs::write(
            tree.0.path().join(format!("sys/fs/cgroup{group}/memory.max")),
            text,
        )
        .unwrap();
        now += Duration::from_secs(60);
        let Answer::Read(counters) = table.read(&[id()], now).remove(0) else {
            panic!()
        };
        counters.memory.unwrap().limit
    };
    assert_eq!(limit("268435456\n"), 256 * MIB);
    assert_eq!(limit("max\n"), 0);
    assert_eq!(limit("1099511627776\n"), 24_684_096 * 1024);
}

#[test]
fn what_an_idle_container_cannot_have_changed_is_read_again_after_a_minute() {
    let group = format!("/docker/{ID}");
    let tree = Tree::v1(&["cpuacct", "memory", "blkio", "freezer"], &group).with_v1_files("cpuacct", &group);
    let (mut table, begun) = (tree.table(), Instant::now());
    table.follow(vec![(id(), process_42())], begun);
    let mut read = |seconds| {
        let now = begun + Duration::from_secs(seconds);
        let Answer::Read(counters) = table.read(&[id()], now).remove(0) else {
            panic!()
        };
        let (memory, block) = (counters.memory.unwrap(), counters.block.unwrap());
        (memory.usage, memory.inactive_file, block.read, counters.paused)
    };
    let file = |name: &str| format!("sys/fs/cgroup/{}{group}/{name}", name.split('.').next().unwrap());
    let tree = tree
        .with(&file("memory.stat"), "total_inactive_file 2\n")
        .with(&file("memory.usage_in_bytes"), "4096\n")
        .with(&file("blkio.throttle.io_service_bytes"), "8:0 Read 7\n")
        .with(&file("freezer.state"), "FROZEN\n");
    assert_eq!(read(0), (5_000_192, 1_000_000, 4_100, false));
    assert_eq!(read(59), (5_000_192, 1_000_000, 4_100, false));
    assert_eq!(read(60), (4_096, 2, 7, true), "a minute passed");
    let tree = tree.with(&file("freezer.state"), "THAWED\n");
    assert_eq!(read(61), (4_096, 2, 7, false), "it may run again at any time");
    let cpu = format!("sys/fs/cgroup/cpuacct{group}/cpuacct.usage");
    let _tree = tree
        .with(&file("memory.stat"), "total_inactive_file 4\n")
        .with(&file("blkio.throttle.io_service_bytes"), "8:0 Read 8\n")
        .with(&cpu, "31778342\n");
    assert_eq!(read(62), (4_096, 4, 8, false), "it ran");
}

#[test]
fn what_is_frozen_is_paused() {
    let group = format!("/docker/{ID}");
    let events = format!("sys/fs/cgroup{group}/cgroup.events");
    let tree = Tree::v2(&group).with_v2_files(&group);
    assert!(tree.with(&events, "populated 1\nfrozen 1\n").read().paused);
    let state = format!("sys/fs/cgroup/freezer{group}/freezer.state");
    let tree = Tree::v1(&["cpuacct", "memory", "blkio", "freezer"], &group).with_v1_files("cpuacct", &group);
    assert!(tree.with(&state, "FROZEN\n").read().paused);
}

#[test]
fn interfaces_are_those_that_the_engine_made_else_all_but_the_loopback() {
    let group = format!("/docker/{ID}");
    let tree = Tree::v2(&group).with_v2_files(&group);
    let lines = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("{name}: 10 1 0 0 0 0 0 0 3 1 0 0 0 0 0 0\n"))
            .collect::<String>()
    };
    let tree = tree.with("proc/42/net/dev", &lines(&["lo", "cali0", "ib0"]));
    assert_eq!(tree.read().network, moved(20, 6));
    let tree = tree.with("proc/42/net/dev", &lines(&["lo"]));
    assert_eq!(tree.read().network, None);
    let many: Vec<String> = (0..500).map(|i| format!("eth{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let tree = tree.with("proc/42/net/dev", &lines(&many));
    assert_eq!(tree.read().network, moved(5000, 1500));
}

#[test]
fn a_process_that_is_not_the_containers_is_not_read() {
    let group = format!("/docker/{ID}");
    let files = || Tree::v2(&group).with_v2_files(&group);
    let no_group = "its process is in no cgroup of its own here, as with a remote or a rootless engine";
    let rootless = files().with(
        "proc/42/cgroup",
        "0::/user.slice/user-1000.slice/session-3.scope\n",
    );
    assert_eq!(rootless.obstacle(), no_group);
    let another = format!("0::/docker/{}\n", ID.replace('4', "5"));
    assert_eq!(files().with("proc/42/cgroup", &another).obstacle(), no_group);
    assert_eq!(files().with("proc/42/cgroup", "nonsense\n").obstacle(), no_group);
    let nobody = files().without("proc/42/stat");
    assert!(nobody.obstacle().starts_with("its process is not seen here"));
    let no_network = files().without("proc/42/net/dev");
    assert!(no_network.obstacle().starts_with("its process is not seen here"));
}

#[test]
fn files_that_are_not_there_or_make_no_sense_are_left_to_the_engine() {
    let group = format!("/docker/{ID}");
    let v2 = || Tree::v2(&group).with_v2_files(&group);
    let file = |name: &str| format!("sys/fs/cgroup{group}/{name}");
    for mounts in [
        "",
        "garbage\n\n- - -\n35 24 0:30 / relative - cgroup2\n",
        "35 24 0:30 / / rw - ext4 /dev/vda rw\n",
    ] {
        assert_eq!(
            v2().with("proc/self/mountinfo", mounts).obstacle(),
            "its cgroup is not mounted here",
            "{mounts:?}"
        );
    }
    assert_eq!(
        v2().without(&file("cpu.stat")).obstacle(),
        "its cgroup is not mounted here"
    );
    let garbage = [
        ("cpu.stat", "usage_usec many\n"),
        ("cpu.stat", ""),
        ("memory.current", "-1\n"),
        ("memory.max", "most\n"),
        ("memory.stat", "anon 1\n"),
        ("io.stat", "8:0 rbytes=x\n"),
    ];
    for (name, text) in garbage {
        assert_eq!(
            v2().with(&file(name), text).obstacle(),
            "its files could not be understood",
            "{name} {text:?}"
        );
    }
    let network = v2().with("proc/42/net/dev", "eth0: 1 2\n");
    assert_eq!(network.obstacle(), "its files could not be understood");
    // A controller that exists and is mounted elsewhere is not the same as one that does not exist.
    let v1 = Tree::v1(&["cpuacct", "memory"], &group).with_v1_files("cpuacct", &group);
    let mounts = "35 31 0:32 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n";
    assert_eq!(
        v1.with("proc/self/mountinfo", mounts).obstacle(),
        "its cgroup is not mounted here"
    );
}

#[test]
fn what_cannot_be_read_any_more_is_asked_about_anew() {
    let group = format!("/docker/{ID}");
    let tree = Tree::v2(&group).with_v2_files(&group);
    let mut table = Table::new(tree.0.path().to_owned(), 0);
    assert!(matches!(
        table.read(&[id()], Instant::now())[..],
        [Answer::Unknown]
    ));
    table.follow(vec![(id(), process_42())], Instant::now());
    assert!(matches!(
        table.read(&[id()], Instant::now())[..],
        [Answer::Read(_)]
    ));
    let tree = tree.without(&format!("sys/fs/cgroup{group}/cpu.stat"));
    assert!(matches!(
        table.read(&[id()], Instant::now())[..],
        [Answer::Unknown]
    ));
    assert!(table.status().shares.is_empty());
    drop(tree);
}

#[test]
fn no_more_files_are_held_than_may_be_and_all_are_let_go() {
    let group = format!("/docker/{ID}");
    let tree = Tree::v2(&group).with_v2_files(&group);
    let mut table = Table::new(tree.0.path().to_owned(), 20);
    let ids: Vec<ContainerId> = (0..5).map(|i| format!("c{i}").parse().unwrap()).collect();
    let open = || {
        fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter(|entry| {
                let target = fs::read_link(entry.as_ref().unwrap().path());
                target.is_ok_and(|target| target.starts_with(tree.0.path().join("sys")))
            })
            .count()
    };
    table.follow(
        ids.iter().map(|id| (id.clone(), process_42())).collect(),
        Instant::now(),
    );
    assert_eq!(open(), 2 * 6, "two containers fit, six files of each group");
    assert!(
        table
            .read(&ids, Instant::now())
            .iter()
            .all(|answer| matches!(answer, Answer::Read(_)))
    );
    ids.iter().for_each(|id| table.forget(id));
    assert_eq!(open(), 0);
    table.follow(vec![(id(), process_42())], Instant::now());
    assert_eq!(open(), 6, "what was let go may be held again");
}

#[test]
fn what_stood_in_the_way_is_tried_again_after_a_minute() {
    let group = format!("/docker/{ID}");
    let events = format!("sys/fs/cgroup{group}/cpu.stat");
    let tree = Tree::v2(&group).with_v2_files(&group).without(&events);
    let (mut table, now) = (tree.table(), Instant::now());
    table.follow(vec![(id(), process_42())], now);
    let soon = now + Duration::from_secs(50);
    assert!(matches!(table.read(&[id()], soon)[..], [Answer::Obstructed]));
    let later = now + Duration::from_secs(61);
    assert!(matches!(table.read(&[id()], later)[..], [Answer::Unknown]));
    let _tree = tree.with(&events, CPU_STAT);
    table.follow(vec![(id(), process_42())], later);
    assert!(matches!(table.read(&[id()], later)[..], [Answer::Read(_)]));
}

#[test]
fn what_forbids_or_exhausts_is_told_from_what_is_missing() {
    let reason = |error: i32| Obstacle::of_process(&io::Error::from_raw_os_error(error)).reason();
    let (eperm, enoent, eacces, enfile, emfile) = (1, 2, 13, 23, 24);
    assert_eq!(
        [eacces, eperm].map(reason),
        ["its files may not be read by this user"; 2]
    );
    assert_eq!([emfile, enfile].map(reason), ["too many files are open"; 2]);
    assert!(reason(enoent).starts_with("its process is not seen here"));
}

#[test]
fn what_nobody_asks_for_is_let_go() {
    let group = format!("/docker/{ID}");
    let tree = Tree::v2(&group).with_v2_files(&group);
    let (mut table, now) = (tree.table(), Instant::now());
    table.follow(vec![(id(), process_42())], now);
    table.read(&[], now + Duration::from_secs(590));
    assert_eq!(table.status().shares.len(), 1);
    table.read(&[], now + Duration::from_secs(610));
    assert_eq!(table.status().shares.len(), 0);
}

#[test]
fn the_status_counts_each_way_and_reason() {
    let group = format!("/docker/{ID}");
    let tree = Tree::v2(&group).with_v2_files(&group);
    let mut table = tree.table();
    let run = |pid| Run { pid, ..process_42() };
    let names = ["a", "b", "c"].map(|name| name.parse::<ContainerId>().unwrap());
    let [a, b, c] = names.clone();
    assert_eq!((table.status().kind, table.status().reason), ("cgroup", None));
    table.follow(vec![(a, run(42)), (b, run(42)), (c, run(43))], Instant::now());
    let status = table.status();
    let mounted = "its cgroup v2 is mounted here".to_owned();
    assert_eq!((status.kind, &status.reason), ("cgroup", &Some(mounted.clone())));
    let share = CollectorShare {
        kind: "cgroup",
        reason: mounted,
        containers: 2,
    };
    assert_eq!(
        (
            status.shares.len(),
            &status.shares[0],
            status.shares[1].containers
        ),
        (2, &share, 1)
    );
    // Seen through the engine, the third was started at another time: it may have files now.
    table.started(&names[2], started());
    assert_eq!(table.status().shares.len(), 2);
    table.started(&names[2], Some(Timestamp::UNIX_EPOCH));
    assert_eq!(table.status().shares.len(), 1);
}

#[test]
fn a_process_that_ended_is_noticed_with_and_without_process_descriptors() {
    let mut child = Command::new("sleep")
        .arg("1000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Any root but the host's counts as a copy, for which there are no descriptors.
    let copy = tempfile::tempdir().unwrap();
    symlink("/proc", copy.path().join("proc")).unwrap();
    let of = |root: &Path| Life::of(child.id(), root).unwrap();
    let ours = Life::of(std::process::id(), Path::new("/")).unwrap();
    let lives = [of(Path::new("/")), of(copy.path()), ours];
    assert!(
        matches!(lives, [Life::Descriptor(_), Life::Stat(_), Life::Descriptor(_)]),
        "{lives:?}"
    );
    assert_eq!(Life::ended(lives.iter()), [false, false, false]);
    child.kill().unwrap();
    let is_zombie = || Life::ended(lives.iter()) == [true, true, false];
    let begun = Instant::now();
    while !is_zombie() && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(is_zombie(), "it has ended, although nobody waited for it yet");
    child.wait().unwrap();
    assert_eq!(Life::ended(lives.iter()), [true, true, false]);
    assert!(Life::of(0, Path::new("/")).is_err());
}
