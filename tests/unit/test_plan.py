"""Plans: blocks that jobs make one by one, and what their join refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from caloforge.blocks.plan import join_blocks, make_blocks, read_plan, told_numbers, write_plan
from caloforge.blocks.submit import Jobs, condor_file, slurm_script
from caloforge.cli.make_block import parse_numbers
from caloforge.errors import ConfigError, FormatError, OutputError
from command_line import done, refused
from support.dask_here import fake_sbatch, wait_for
from support.showers import load

if TYPE_CHECKING:
    from types import ModuleType

JOBS = Path(__file__).parents[1] / "data"
GENERATE = ("generate", "mosaic:siw-ecal", "--energy", "10:100", "--seed", "3", "--count", "205")


class Planned:
    """The toy's fourteen blocks, planned."""

    def __init__(self, job: ModuleType, folder: Path) -> None:
        self.job, self.out = job, folder / "a.h5"
        self.production = job.production()
        self.folder = write_plan(self.production, self.out, ["toy"])

    def make(self, *numbers: int, **options: Any) -> list[tuple[int, bool]]:
        seen: list[tuple[int, bool]] = []
        production = self.job.production(**options) if options else self.production
        make_blocks(
            production, read_plan(self.folder), self.folder, numbers, told=lambda *told: seen.append(told)
        )
        return seen

    def join(self, *, keep: bool = False, **options: Any) -> None:
        production = self.job.production(**options) if options else self.production
        join_blocks(production, read_plan(self.folder), self.out, keep=keep)


@pytest.fixture
def planned(job: ModuleType, tmp_path: Path) -> Planned:
    return Planned(job, tmp_path)


def test_a_plan_tells_ranges_seed_and_hash(planned: Planned) -> None:
    plan = json.loads((planned.folder / "plan.json").read_text())
    assert (plan["showers"], plan["block"], plan["blocks"], plan["seed"]) == (40, 3, 14, 7)
    assert plan["request"] == {"seed": 7}
    assert plan["sha256"] == planned.production.fingerprint
    assert planned.job.production(request={"seed": 8}).fingerprint != plan["sha256"]
    assert planned.job.production(count=41).fingerprint != plan["sha256"]


def test_blocks_in_any_order_become_the_same_file(planned: Planned, job: ModuleType, tmp_path: Path) -> None:
    assert planned.make(13, 2, 5) == [(13, True), (2, True), (5, True)]
    assert planned.make(2, 3, 5) == [(2, False), (3, True), (5, False)]
    planned.make(*range(13, -1, -1))
    planned.join()
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    job.run(tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_run_blocks_goes_on_with_the_blocks_of_jobs(planned: Planned, job: ModuleType) -> None:
    planned.make(*(k for k in range(14) if k != 9))
    made: list[tuple[int, int]] = []

    def watched() -> Any:
        return lambda *task: made.append(task) or job.Toy().make(*task)

    job.run(planned.out, worker=watched)
    assert made == [(27, 30)]
    assert len(load(planned.out)) == 40


def test_join_names_what_is_missing_and_keeps_all(planned: Planned) -> None:
    planned.make(*(k for k in range(14) if k not in {3, 7, 8, 13}))
    with pytest.raises(OutputError, match=r"4 of 14 blocks are missing in .*: 3,7-8,13; make them with"):
        planned.join()
    assert len(list(planned.folder.glob("0*.h5"))) == 10
    planned.make(3, 7, 8, 13)
    planned.join()


def test_join_while_a_job_writes_leaves_its_file_alone(planned: Planned) -> None:
    busy = planned.folder / "unfinished-elsewhere-1-abcdef01.h5.part"
    busy.touch()
    with pytest.raises(OutputError, match="missing"):
        planned.join()
    planned.make(0)
    assert busy.exists()


def test_join_refuses_blocks_of_another_request(planned: Planned, job: ModuleType, tmp_path: Path) -> None:
    planned.make(*range(14))
    (tmp_path / "other").mkdir()
    other = Planned(job, tmp_path / "other")
    other.production = job.production(request={"seed": 8})
    (other.folder / "plan.json").unlink()
    other.folder = write_plan(other.production, other.out, ["toy"], force=True)
    other.make(4)
    (other.folder / "0000000012.h5").replace(planned.folder / "0000000012.h5")
    with pytest.raises(FormatError, match=r"0000000012.h5 is a block of another request: remove that file"):
        planned.join()
    assert not planned.out.exists()
    assert planned.make(4) == [(4, True)]
    planned.join()


def test_join_refuses_blocks_that_differ(planned: Planned, job: ModuleType) -> None:
    planned.make(*range(14))
    shifted = job.production(worker=lambda: lambda start, stop: job.Toy().make(start + 1, stop + 1))
    (planned.folder / "0000000006.h5").unlink()
    make_blocks(shifted, read_plan(planned.folder), planned.folder, [2])
    with pytest.raises(FormatError, match=r"0000000006.h5 has showers of other particles"):
        planned.join(incident=job.Toy().incident)
    (planned.folder / "0000000006.h5").unlink()
    planned.make(2)
    planned.join(incident=job.Toy().incident)


def test_join_refuses_damaged_and_surplus_blocks(planned: Planned) -> None:
    planned.make(*range(14))
    good = (planned.folder / "0000000003.h5").read_bytes()
    (planned.folder / "0000000004.h5").write_bytes(good)
    with pytest.raises(FormatError, match=r"0000000004.h5 is no block of this plan"):
        planned.join()
    (planned.folder / "0000000004.h5").unlink()
    (planned.folder / "0000000003.h5").write_bytes(good[: len(good) // 2])
    with pytest.raises(FormatError, match=r"0000000003.h5.*: remove that file, make its block again"):
        planned.join()
    assert planned.make(1) == [(1, True)]
    planned.join()


def test_another_program_or_setting_is_refused(planned: Planned) -> None:
    with pytest.raises(ConfigError, match=r"not those that this program makes .*\(seed 7 there and 8 here"):
        planned.make(0, request={"seed": 8})
    with pytest.raises(ConfigError, match="block: got 14, expected one of 0 to 13"):
        planned.make(14)
    plan = planned.folder / "plan.json"
    plan.write_text(plan.read_text().replace('"blocks": 14', '"blocks": "many"'))
    with pytest.raises(ConfigError, match=r"blocks in the plan .* got 'many', expected a whole number"):
        planned.make(0)


def test_a_plan_of_other_showers_is_not_replaced(planned: Planned, job: ModuleType) -> None:
    planned.make(0)
    other = job.production(request={"seed": 8})
    with pytest.raises(OutputError, match="seed 7 there and 8 here"):
        write_plan(other, planned.out, ["toy"])
    write_plan(planned.production, planned.out, ["toy"])
    assert planned.make(0) == [(0, False)]
    write_plan(other, planned.out, ["toy"], force=True)
    assert list(planned.folder.glob("0*.h5")) == []


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_join_that_is_stopped_loses_no_block(
    planned: Planned, job: ModuleType, tmp_path: Path, stop: signal.Signals
) -> None:
    planned.make(*range(14))
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "import blocks_job as job; from caloforge.blocks.plan import join_blocks, read_plan\n"
        "from caloforge.blocks.store import BlockStore\n"
        "f = Path(sys.argv[2]); read = BlockStore.read\n"
        "def slow(self, task):\n"
        "    (f.parent / 'reading').touch(); time.sleep(0.1); return read(self, task)\n"
        "BlockStore.read = slow; join_blocks(job.production(), read_plan(f), f.with_suffix(''))"
    )
    command = [sys.executable, "-c", program, str(JOBS), str(planned.folder)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        wait_for((tmp_path / "reading").exists)
        process.send_signal(stop)
    assert process.returncode != 0
    assert not planned.out.exists()
    assert len(list(planned.folder.glob("0*.h5"))) == 14
    planned.join()
    job.run(tmp_path / "b.h5")
    assert planned.out.read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert not planned.folder.exists()


def test_blocks_may_stay_when_they_are_joined(planned: Planned) -> None:
    planned.make(*range(14))
    planned.join(keep=True)
    assert len(list(planned.folder.glob("0*.h5"))) == 14
    assert planned.out.exists()


def test_numbers_as_batch_systems_write_them() -> None:
    assert told_numbers([3, 17, 18, 19]) == "3,17-19"
    assert told_numbers(range(0, 60, 2)).endswith("22 and 18 other ranges")
    assert parse_numbers("3,17-19", 20) == [3, 17, 18, 19]
    with pytest.raises(ConfigError, match="block: got 19, expected one of 0 to 18"):
        parse_numbers("3,17-19", 19)
    with pytest.raises(ConfigError, match="K: got '-1', expected"):
        parse_numbers("-1", 19)


def test_job_files_say_what_is_asked_for() -> None:
    jobs = Jobs(folder=Path("/data/a b.parts"), jobs=20, walltime="1-02:00:30", memory="2G", account="atlas")
    slurm, condor = slurm_script(jobs), condor_file(jobs)
    assert "#SBATCH --array=0-19\n" in slurm
    assert "#SBATCH --account=atlas\n" in slurm
    assert """make-block "$SLURM_ARRAY_TASK_ID" --every 20 --plan '/data/a b.parts'\n""" in slurm
    assert f"MY.MaxRuntime = {26 * 3600 + 30}\n" in condor
    assert "make-block $(Process) --every 20 --plan ." in condor
    assert condor.endswith("queue 20\n")


def test_what_cannot_be_planned() -> None:
    assert "got 'inspect', expected simulate, generate or sweep" in refused("plan", "inspect", "a.h5")
    assert "--append says where and when" in refused("plan", *GENERATE, "--append", "--out", "a.h5")
    limited = ("plan", "--submit", "slurm", "--walltime", "2 days", *GENERATE, "--out", "a.h5")
    assert "walltime of the cluster slurm: got '2 days', expected hours:minutes" in refused(*limited)
    assert "plan.json: give the folder" in refused("make-block", "0", "--plan", "nowhere")


def test_an_array_of_jobs_makes_what_one_process_makes(tmp_path: Path) -> None:
    out, alone = tmp_path / "a.h5", tmp_path / "alone.h5"
    done(*GENERATE, "--out", alone)
    text = done("plan", "--submit", "slurm", "--jobs", "2", *GENERATE, "--out", out)
    assert "3 of 100, 0 to 2" in text
    script = Path(f"{out}.parts/jobs.sbatch")
    subprocess.run([fake_sbatch(tmp_path / "bin"), script], check=True)
    assert Path(f"{out}.parts/job-0.log").read_text() == "block 0 is made\nblock 2 is made\n"
    assert done("join", f"{out}.parts").endswith("a.h5 has 205 showers of 3 blocks\n")
    assert out.read_bytes() == alone.read_bytes()
    np.testing.assert_array_equal(load(out).offsets, load(alone).offsets)


def test_larger_blocks_are_fewer_files_with_the_same_showers(tmp_path: Path) -> None:
    out, alone = tmp_path / "a.h5", tmp_path / "alone.h5"
    done(*GENERATE, "--out", alone)
    text = done("plan", *GENERATE, "--block-size", "150", "--out", out)
    assert "2 of 200, 0 to 1" in text  # whole batches
    done("make-block", "0-1", "--plan", f"{out}.parts")
    done("join", f"{out}.parts")
    assert out.read_bytes() == alone.read_bytes()


def test_a_killed_job_leaves_no_block_and_is_started_again(planned: Planned, tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; import blocks_job as job\n"
        "from caloforge.blocks.plan import make_blocks, read_plan\n"
        "f = Path(sys.argv[2]); p = job.production(worker=job.Toy(delay=0.1))\n"
        "make_blocks(p, read_plan(f), f, range(14))"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(JOBS), str(planned.folder)]) as process:
        wait_for(lambda: len(list(planned.folder.glob("0*.h5"))) >= 2)
        process.send_signal(signal.SIGKILL)
    before = len(list(planned.folder.glob("0*.h5")))
    assert before < 14
    told = planned.make(*range(14))
    assert [made for _, made in told].count(True) == 14 - before
    planned.join()
