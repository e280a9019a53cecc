from figr_jax.common import memory


def test_limits_of_version_2_are_those_of_the_group_and_its_parents(tmp_path):
    (tmp_path / "cgroup").write_text("0::/slurm/job_7/step_0\n")
    group = tmp_path / "sys/slurm/job_7/step_0"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group.parent / "memory.max").write_text("4096\n")
    found = memory.cgroup_limits(tmp_path / "cgroup", tmp_path / "sys")
    assert found == [4096]


def test_limits_of_version_1_in_a_container(tmp_path):
    lines = "5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n"
    (tmp_path / "cgroup").write_text(lines)
    (tmp_path / "sys/memory").mkdir(parents=True)  # the container sees its own alone
    (tmp_path / "sys/memory/memory.limit_in_bytes").write_text("8192\n")
    found = memory.cgroup_limits(tmp_path / "cgroup", tmp_path / "sys")
    assert found == [8192]


def test_a_system_without_control_groups_has_no_limit(tmp_path):
    assert memory.cgroup_limits(tmp_path / "none", tmp_path) == []
