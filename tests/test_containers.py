"""Containers: the memory that control groups leave counts as free memory."""

from __future__ import annotations

from impasto.machine import container_free_bytes

GIB = 2**30


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_version_2_takes_the_tightest_of_all_ancestors(tmp_path):
    write(tmp_path, {
        "proc/self/cgroup": "0::/jobs/one\n",
        "sys/fs/cgroup/jobs/one/memory.max": "max\n",
        "sys/fs/cgroup/jobs/one/memory.current": f"{GIB}\n",
        "sys/fs/cgroup/jobs/memory.max": f"{4 * GIB}\n",
        "sys/fs/cgroup/jobs/memory.current": f"{3 * GIB}\n",
        "sys/fs/cgroup/jobs/memory.stat": f"anon 5\ninactive_file {GIB}\n",
    })  # fmt: skip
    assert container_free_bytes(tmp_path) == 2 * GIB


def test_version_2_inside_a_container_that_sees_only_its_own_group(tmp_path):
    write(tmp_path, {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": f"{2 * GIB}\n",
        "sys/fs/cgroup/memory.current": f"{GIB // 2}\n",
    })  # fmt: skip
    assert container_free_bytes(tmp_path) == 3 * GIB // 2


def test_version_1(tmp_path):
    write(tmp_path, {
        "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}\n",  # as seen inside the container
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIB // 4}\n",
        "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 0\n",
    })  # fmt: skip
    assert container_free_bytes(tmp_path) == 3 * GIB // 4


def test_no_limit(tmp_path):
    assert container_free_bytes(tmp_path) is None
    write(tmp_path, {
        "proc/self/cgroup": "4:memory:/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{(1 << 63) - 4096}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "0\n",
    })  # fmt: skip
    assert container_free_bytes(tmp_path) is None
