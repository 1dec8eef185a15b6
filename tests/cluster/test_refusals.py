"""What sbatch says, as a sentence; what the lab can't make it say."""

from cluster.config import ClusterConfig
from cluster.refusals import refusal
from cluster.resources import Resources
from storage.errors import ClusterError, ConfigError


def test_a_limit_of_jobs_is_no_wrong_time_limit() -> None:
    """Slurm lists every limit that it may be in one sentence; the line above tells which it was."""
    said = (
        "sbatch: error: QOSMaxSubmitJobPerUserLimit\n"
        "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy "
        "(job submit limit, user's size and/or time limits)\n"
    )
    error = refusal(said, ClusterConfig(), Resources())
    assert isinstance(error, ClusterError) and not isinstance(error, ConfigError)
    assert "(QOSMaxSubmitJobPerUserLimit)" in str(error)
    asked = "sbatch: error: Batch job submission failed: Requested time limit is invalid (missing)"
    assert "cluster.timeout_min" in str(refusal(asked, ClusterConfig(), Resources()))
