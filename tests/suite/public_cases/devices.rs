//! Topology, GPUs and other devices.

use serde_json::{Value, json};

use crate::public_cases::made_up::{Made, MadeUp, NodeShape, anon, near_or_21, two_sockets};

/// oracle-quickstart/oci-hpc: NCCL's dump of a GB300 NVLink domain has a `<cpu>` for each socket of each host.
fn two_grace_hosts(of_hosts: [[u32; 2]; 2]) -> MadeUp {
    let mut made = MadeUp::new(&two_sockets(72, 480), |a, b| if a == b { 10 } else { 40 });
    let addresses = ["0008:06:00.0", "0018:06:00.0"];
    for address in addresses {
        made.gpu(address, -1, "NVIDIA GB300");
    }
    let host = |(name, nodes): (&str, [u32; 2])| -> String {
        let cpus = addresses.iter().zip(nodes);
        let cpus = cpus.map(|(address, node)| {
            format!(
                "<cpu host_hash=\"{name}\" numaid=\"{node}\"><pci busid=\"{address}\" class=\"0x030200\"/></cpu>"
            )
        });
        cpus.collect()
    };
    let hosts: String = ["0xa", "0xb"].into_iter().zip(of_hosts).map(host).collect();
    made.file(
        "topology.xml",
        &format!("<system version=\"1\">{hosts}</system>"),
    );
    made.process(&Made {
        last: 1,
        threads: 2,
        cpus: "0-71",
        maps: anon(&[(0, 300)], "default"),
        ..Made::default()
    });
    made.uses(0, 100);
    made.gpus[1]["memory_used_bytes"] = json!(5 << 20);
    made
}

#[test]
fn a_topology_file_of_several_hosts_says_nothing_about_this_one() {
    let made = two_grace_hosts([[0, 1], [1, 0]]);
    let file = made.path("topology.xml");
    let seen = made.audit(&["--topology", &file]);
    assert_eq!(seen.code, 3);
    assert_eq!((seen.home(0), seen.home(1)), (&json!([]), &json!([])));
    assert_eq!(seen.verdict(100), "unknown");
    assert!(!seen.has("cpu-remote", &[]));
    seen.says(&["the topology file gives it different nodes (0-1)"]);
    let expected = made.audit(&["--expect", &file, "--gpu-node", "0=0", "--gpu-node", "1=1"]);
    assert_eq!(expected.code, 3);
    expected.says(&["the file places it differently in several places"]);
}

#[test]
fn hosts_that_agree_are_believed() {
    let made = two_grace_hosts([[0, 1], [0, 1]]);
    let seen = made.audit(&["--topology", &made.path("topology.xml")]);
    assert_eq!((seen.code, seen.home(1)), (0, &json!([1])));
}

#[test]
fn a_contradictory_file_is_said_where_sysfs_has_the_node() {
    let made = two_grace_hosts([[0, 1], [1, 0]]);
    made.file("sys/bus/pci/devices/0008:06:00.0/numa_node", "0\n");
    let seen = made.audit(&["--topology", &made.path("topology.xml"), "--gpu", "0"]);
    assert_eq!((seen.code, seen.home(0)), (0, &json!([0])));
    seen.says(&["place in the topology file of GPU 0: the topology file gives it different"]);
}

/// A Xeon Max in flat mode: each socket has a node of DDR with the CPUs, and one of HBM.
#[test]
fn of_a_socket_with_ddr_and_hbm_the_node_with_cpus_counts() {
    let shape = |cpus: &str, socket, gib| (cpus.to_owned(), socket, gib);
    let nodes = [
        shape("0-3", 0, 120),
        shape("4-7", 1, 120),
        shape("", 0, 60),
        shape("", 1, 60),
    ];
    let mut made = MadeUp::new(&nodes, |a, b| match (a == b, a % 2 == b % 2) {
        (true, _) => 10,
        (_, true) => 13,
        _ => 21,
    });
    made.gpu("0000:10:1c.0", -1, "NVIDIA H100");
    made.process(&Made {
        cpus: "4-7",
        last: 5,
        maps: anon(&[(1, 100)], "default"),
        ..Made::default()
    });
    made.uses(0, 100);
    made.file(
        "lstopo.xml",
        r#"<topology version="2.0"><object type="Machine" nodeset="0xf">
             <object type="Package" nodeset="0x5"/>
             <object type="Package" nodeset="0xa">
               <object type="NUMANode" os_index="1" nodeset="0x2"/><object type="NUMANode" os_index="3" nodeset="0x8"/>
               <object type="Bridge"><object type="PCIDev" pci_busid="0000:10:1c.0"/></object>
             </object></object></topology>"#,
    );
    let seen = made.audit(&["--topology", &made.path("lstopo.xml")]);
    assert_eq!((seen.home(0), seen.verdict(100)), (&json!([1]), "ok"));
    // The driver names both nodes of the socket, too.
    made.gpus[0]["memory_affinity"] = json!("1,3");
    let seen = made.audit(&[]);
    assert_eq!((seen.home(0), seen.code), (&json!([1]), 0));
    made.gpus[0]["memory_affinity"] = json!("0-1");
    assert_eq!(made.audit(&[]).home(0), &json!([]));
}

/// NVIDIA/mlperf-common, pull request 24: four GH200 are 4 nodes with CPUs and 32 of the GPUs' memory.
fn four_grace_hoppers() -> MadeUp {
    let with_cpus = |node: u32| (format!("{}-{}", 72 * node, 72 * node + 71), node, 120);
    let mut nodes: Vec<NodeShape> = (0..4).map(with_cpus).collect();
    nodes.resize(36, (String::new(), 0, 0));
    let mut made = MadeUp::new(&nodes, |a, b| match (a == b, a < 4 && b < 4) {
        (true, _) => 10,
        (_, true) => 40,
        _ => 80,
    });
    for at in 0..4 {
        let address = format!("00{at}9:01:00.0");
        made.gpu(&address, at, "NVIDIA GH200 120GB");
        let file = format!("proc/driver/nvidia/gpus/{address}/numa_status");
        made.file(&file, &format!("Node:\t{}\nStatus:\tonline\n", 4 + 8 * at));
        if at > 0 {
            made.gpus.last_mut().unwrap()["memory_used_bytes"] = json!(5 << 20);
        }
    }
    made.process(&Made {
        last: 1,
        threads: 2,
        cpus: "0-71",
        maps: anon(&[(0, 100)], "default"),
        ..Made::default()
    });
    made.uses(0, 100);
    made
}

#[test]
fn nodes_that_are_the_gpus_memory_share_a_place_in_the_heading() {
    let seen = four_grace_hoppers().audit(&[]);
    assert_eq!((seen.code, seen.verdict(100)), (0, "ok"));
    seen.says(&[
        "node 3 CPUs 216-287; nodes 4,12,20,28 (memory of GPUs 0-3) without CPUs; nodes 5-11,13-19,21-27,29-35 without CPUs\n",
    ]);
    seen.says(&["  [0-35]  "]);
}

#[test]
fn the_map_of_many_nodes_is_narrow() {
    let made = four_grace_hoppers();
    for (columns, widest) in [("80", 80), ("200", 100)] {
        let map = made.topology(columns);
        let is_narrow = |line: &str| line.chars().count() <= widest;
        assert!(map.lines().all(is_narrow), "{map}");
        let row = map
            .lines()
            .find(|line| line.trim_start().starts_with("4-35 "))
            .unwrap();
        assert!(row.ends_with("80 to others"), "{map}");
        assert!(map.contains("40 to 0,2-3; 80 to others"), "{map}");
    }
}

#[test]
fn many_nodes_with_cpus_and_memory_are_folded_too() {
    let with_cpus = |node: u32| (format!("{}-{}", 4 * node, 4 * node + 3), node / 2, 4);
    let nodes: Vec<NodeShape> = (0..32).map(with_cpus).collect();
    let mut made = MadeUp::new(&nodes, near_or_21);
    made.gpu("0000:10:1c.0", 0, "NVIDIA H100");
    let everywhere: Vec<(u32, u64)> = (0..32).map(|node| (node, 40)).collect();
    let even: Vec<String> = (0..64).map(|cpu| (2 * cpu).to_string()).collect();
    made.process(&Made {
        cpus: &even.join(","),
        maps: anon(&everywhere, "interleave:0-31"),
        ..Made::default()
    });
    made.uses(0, 100);
    let seen = made.audit(&[]);
    seen.says(&["32 NUMA nodes: nodes 0-31 with 4 CPUs each\n"]);
    seen.says(&["interleave [0-31]"]);
    seen.says(&["25 nodes: 78%"]);
    seen.says(&["64 on 0-31"]);
}

fn accelerators(seen: &Value) -> Vec<&Value> {
    let devices = seen["topology"]["devices"].as_array().unwrap();
    let computing = devices
        .iter()
        .filter(|device| device["may_compute"] == true);
    computing.collect()
}

/// vllm-project/vllm-ascend, issue 6966: CPU binding on a machine whose accelerators are no GPUs.
fn four_npus() -> MadeUp {
    let mut made = MadeUp::new(&two_sockets(16, 60), near_or_21);
    made.has_nvidia = false;
    for (at, bus) in (0..).zip(["81", "82", "c1", "c2"]) {
        let address = format!("0000:{bus}:00.0");
        made.pci(&address, at / 2, ["0x120000", "0x19e5", "0xd802"]);
    }
    made.process(&Made {
        name: "VLLM::Worker_TP",
        command: "VLLM::Worker_TP0",
        last: 20,
        threads: 4,
        cpus: "0-31",
        maps: anon(&[(1, 500)], "default"),
        ..Made::default()
    });
    made.opens(100, &["/dev/null", "/dev/davinci0", "/dev/davinci_manager"]);
    made
}

#[test]
fn accelerators_that_are_no_gpus_are_listed_as_what_they_are() {
    let made = four_npus();
    let seen = made.audit(&[]);
    assert_eq!(seen.code, 3);
    seen.says(&[
        "Accelerators 0000:81:00.0, 0000:82:00.0  Huawei 19e5:d802  node 0: processes unknown",
    ]);
    seen.says(&["process 100 (VLLM::Worker_TP) has /dev/davinci0 open"]);
    seen.says(&["--pid"]);
    seen.says_not(&["libnvidia-ml"]);
    assert_eq!(accelerators(&seen.document).len(), 4);
    let users = &seen.document["topology"]["device_users"];
    let expected = json!([{"pid": 100, "name": "VLLM::Worker_TP", "files": ["/dev/davinci0"]}]);
    assert_eq!(users, &expected);
    // The way out.
    let named = made.audit(&["--pid", "100"]);
    assert_eq!((named.code, named.verdict(100)), (0, "at-risk"));
}

#[test]
fn an_accelerator_beside_gpus_leaves_it_open_what_it_does() {
    let mut made = four_npus();
    made.has_nvidia = true;
    made.gpu("0000:10:1c.0", 0, "NVIDIA H100");
    made.process(&Made {
        pid: 300,
        cpus: "0-15",
        maps: anon(&[(0, 100)], "default"),
        ..Made::default()
    });
    made.uses(0, 300);
    made.opens(300, &["/dev/nvidia0", "/dev/nvidiactl"]);
    let seen = made.audit(&[]);
    assert_eq!((seen.code, seen.verdict(300)), (3, "ok"));
}

#[test]
fn an_unknown_vendors_3d_controller_is_an_accelerator_and_a_boards_vga_is_none() {
    let mut made = MadeUp::new(&two_sockets(2, 60), near_or_21);
    made.has_nvidia = false;
    made.pci("0000:01:00.0", 0, ["0x030200", "0x1ed5", "0x0222"]);
    made.pci("0000:02:00.0", 0, ["0x030000", "0x1a03", "0x2000"]);
    let seen = made.audit(&[]);
    assert_eq!(seen.code, 3);
    let found = accelerators(&seen.document);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["model"], "Moore Threads 1ed5:0222");
}

/// In a container NVIDIA's GPUs of other containers are on the bus, and are no news.
#[test]
fn a_gpu_that_its_driver_does_not_list_is_no_accelerator() {
    let mut made = MadeUp::new(&two_sockets(2, 60), near_or_21);
    made.gpu("0000:01:00.0", 0, "NVIDIA H100");
    made.gpus[0]["memory_used_bytes"] = json!(5 << 20);
    made.pci("0000:02:00.0", 0, ["0x030200", "0x10de", "0x2330"]);
    let seen = made.audit(&[]);
    assert_eq!(seen.code, 0);
    assert!(accelerators(&seen.document).is_empty());
}

/// A GPU that was given to a virtual machine, whose process has the group's file open.
#[test]
fn a_gpu_on_vfio_pci_is_a_guests() {
    let mut made = MadeUp::new(&two_sockets(2, 60), near_or_21);
    made.has_nvidia = false;
    for vendor in ["0x10de", "0x1002"] {
        let address = format!("0000:{}:00.0", &vendor[4..]);
        made.pci(&address, 1, ["0x030000", vendor, "0x2330"]);
        let folder = format!("sys/bus/pci/devices/{address}");
        if vendor == "0x10de" {
            let driver = "../../../../bus/pci/drivers/vfio-pci";
            made.link(&format!("{folder}/driver"), driver);
        } else {
            let text = "DRIVER=vfio-pci\nPCI_CLASS=30000\n";
            made.file(&format!("{folder}/uevent"), text);
        }
    }
    made.process(&Made {
        name: "qemu-system-x86",
        cpus: "0-3",
        ..Made::default()
    });
    made.opens(100, &["/dev/vfio/vfio", "/dev/vfio/12"]);
    let seen = made.audit(&[]);
    assert_eq!(seen.code, 3);
    assert_eq!(seen.document["topology"]["gpus"], json!([]));
    seen.says(&["Accelerator 0000:de:00.0  NVIDIA 10de:2330  node 1, driver vfio-pci"]);
    seen.says(&["given to a virtual machine (driver vfio-pci); process 100 (qemu-system-x86) has /dev/vfio/12 open"]);
    seen.says_not(&["libnvidia-ml"]);
}

/// A GPU of a virtual machine is attached to node 1, so that node is not one without GPUs.
#[test]
fn a_node_whose_gpu_was_given_away_is_not_without_gpus() {
    let mut made = MadeUp::new(&two_sockets(2, 60), near_or_21);
    made.gpu("0000:10:00.0", 0, "NVIDIA H100");
    let without = made.audit(&[]);
    without.says(&["node-without-gpus"]);
    made.pci("0000:de:00.0", 1, ["0x030200", "0x10de", "0x2330"]);
    let driver = "../../../../bus/pci/drivers/vfio-pci";
    made.link("sys/bus/pci/devices/0000:de:00.0/driver", driver);
    made.audit(&[]).says_not(&["node-without-gpus"]);
}

/// An MI300X in mode CPX: one PCI device, and of each partition a node of KFD's and a render node.
#[test]
fn the_partition_of_an_amd_gpu_is_known() {
    let mut made = MadeUp::new(&two_sockets(4, 60), near_or_21);
    made.has_nvidia = false;
    let address = "0000:05:00.0";
    made.pci(address, 1, ["0x120000", "0x1002", "0x74a1"]);
    let device = format!("sys/bus/pci/devices/{address}");
    made.file(&format!("{device}/drm/renderD128/uevent"), "");
    made.file(&format!("{device}/current_compute_partition"), "CPX\n");
    made.file(&format!("{device}/current_memory_partition"), "NPS4\n");
    for partition in 0..8_u32 {
        let folder = format!("sys/class/kfd/kfd/topology/nodes/{}", 2 + partition);
        made.file(
            &format!("{folder}/gpu_id"),
            &format!("{}\n", 500 + partition),
        );
        let (location, minor) = (partition << 28 | 0x0500, 128 + partition);
        let properties = format!("location_id {location}\ndomain 0\ndrm_render_minor {minor}\n");
        made.file(&format!("{folder}/properties"), &properties);
    }
    let of = |pid: u32, ppid: u32| Made {
        pid,
        ppid,
        last: 5,
        cpus: "4-7",
        maps: anon(&[(1, 100)], "default"),
        ..Made::default()
    };
    for (pid, partitions) in [(100, vec![3]), (200, vec![0, 1])] {
        made.process(&of(pid, 1));
        made.opens(pid, &["/dev/null", "/dev/kfd"]);
        for partition in partitions {
            let file = format!("sys/class/kfd/kfd/proc/{pid}/queues/{partition}/gpuid");
            made.file(&file, &(500 + partition).to_string());
        }
    }
    made.process(&of(110, 100));
    let seen = made.audit(&[]);
    let three = json!([{"gpu": 0, "partition": 3, "render_node": "renderD131", "kfd_id": 503}]);
    assert_eq!(seen.process(100)["gpu_partitions"], three);
    assert_eq!(seen.process(110)["gpu_partitions"], three, "its worker");
    let several = seen.process(200)["gpu_partitions"].as_array().unwrap();
    assert_eq!(several.len(), 2);
    let gpu = &seen.document["topology"]["gpus"][0];
    assert_eq!(gpu["partitions"].as_array().unwrap().len(), 8);
    assert_eq!(gpu["partition_modes"], json!(["CPX", "NPS4"]));
    assert!(seen.table.contains("PARTITION"), "{}", seen.table);
    let row = seen
        .table
        .lines()
        .find(|line| line.contains(" 200 "))
        .unwrap();
    assert!(row.contains(" 0-1 "), "{}", seen.table);
}
