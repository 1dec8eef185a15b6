"""Tab completion: `eval "$(radmill --completion bash)"` (or zsh)."""

from __future__ import annotations

from jobs.job import Job
from jobs.registry import JOBS, PLAIN
from jobs.rooms import keys_of
from storage.errors import check_one_of

_BASH = """_radmill() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" job="${{COMP_WORDS[1]}}"
  COMP_WORDBREAKS="${{COMP_WORDBREAKS//=/}}"
  if (( COMP_CWORD == 1 )); then COMPREPLY=($(compgen -W "{jobs}" -- "$word")); return; fi
  case "$job ${{COMP_WORDS[2]}}" in {pairs}) job="$job ${{COMP_WORDS[2]}}";; esac
  case "$job" in
{cases}
  esac
  [[ "$word" == *=* ]] && COMPREPLY=($(compgen -f -P "${{word%%=*}}=" -- "${{word#*=}}"))
  compopt -o nospace
}}
complete -F _radmill radmill"""


def script(shell: str) -> str:
    """The shell's completion script; zsh reads bash's through bashcompinit."""
    check_one_of("--completion", shell, ("bash", "zsh"))
    cases = "\n".join(
        f'    "{job.name}") COMPREPLY=($(compgen -W "{" ".join(_keys(job))}" -- "$word"));;'
        for job in JOBS.values()
    )
    names = [name.split() for name in [*JOBS, *PLAIN]]
    first = sorted({name[0] for name in names})
    pairs = "|".join(f'"{" ".join(name)}"' for name in names if len(name) == 2)
    for word in first:  # `radmill store <tab>` offers show, sheet ...
        second = " ".join(name[1] for name in names if name[0] == word and len(name) == 2)
        if second and word not in JOBS:
            cases += f'\n    "{word}") COMPREPLY=($(compgen -W "{second}" -- "$word"));;'
    bash = _BASH.format(jobs=" ".join(first), pairs=pairs, cases=cases)
    return f"autoload -U +X bashcompinit && bashcompinit\n{bash}" if shell == "zsh" else bash


def _keys(job: Job) -> list[str]:
    keys = [f"{key}=" for key in job.single_keys]
    for section in job.sections:
        prefix = "" if section == job.section else f"{section}."
        keys += [f"{prefix}{name}=" for name in keys_of(section)]
    return keys
