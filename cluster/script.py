"""The sbatch script of a node as text, and what Slurm says of it without submitting."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cluster.commands import ANSWER_S, max_array_size
from cluster.config import ClusterConfig
from cluster.executor import no_slurm, slurm_parameters
from cluster.graph import Node, job_name
from cluster.partitions import check_fits
from cluster.refusals import refusal
from cluster.resources import Resources
from storage.errors import ClusterError


def sbatch_text(node: Node, config: ClusterConfig, folder: Path) -> str:
    """What submit_graph would hand to sbatch for this node; needs no Slurm and writes nothing.

    Ids of the nodes before it are not known yet: their names stand in a comment. Of an array above MaxArraySize
    the first chunk is shown.
    """
    import submitit

    class Writer(submitit.SlurmExecutor):  # type: ignore[misc]  # submitit has no types here
        @classmethod
        def affinity(cls) -> int:
            return 2  # asked for where there may be no Slurm

    writer = Writer(folder / node.name, max_num_timeout=config.max_timeouts)
    writer.update_parameters(
        **slurm_parameters(config, job_name(node.name), node.resources, survive_nodes=node.ray)
    )
    if node.width > 1:
        writer.parameters["map_count"] = min(node.width, max_array_size())
    text = str(writer._make_submission_file_text(writer._submitit_command_str, ""))
    if not node.after:
        return text
    return text.replace(
        "# Parameters\n", f"# Parameters\n# starts when these have ended: {', '.join(node.after)}\n", 1
    )


def check_submission(text: str, config: ClusterConfig, resources: Resources) -> str:
    """Slurm's estimate for the script (`sbatch --test-only`), such as when and where it would start.

    Where nodes are down Slurm says of any job that needs them that it can't be; the partition's description decides.

    Raises:
        ConfigError, ClusterError: there is no Slurm here, it does not answer, or it would refuse the job and why.
    """
    check_fits(config, resources)
    try:
        told = subprocess.run(
            ["sbatch", "--test-only"],
            input=text,
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
        )
    except FileNotFoundError:
        raise no_slurm() from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"Slurm did not answer within {ANSWER_S} s; try again later.") from None
    if "configuration is not available" in told.stderr:
        return "Slurm would queue the job: nodes that it needs are down, drained or reserved now."
    if told.returncode != 0:
        raise refusal(told.stderr, config, resources)
    return told.stderr.strip().removeprefix("sbatch: ")
