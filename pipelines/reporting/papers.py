"""What the two papers print, to stand below a sweep's tables and apart from them: other people, other films.

Mean and sample SD over three seeds, as printed, in tables 2 to 4 with the printed difference in brackets.
"""

from __future__ import annotations

# Table -> measures, then row -> a cell per measure.
PAPERS: dict[str, tuple[list[str], dict[str, list[str]]]] = {
    "hand 1": (
        ["precision", "recall", "f1", "auc", "accuracy"],
        {
            "SimCLR": ["0.71 ± 0.04", "0.66 ± 0.06", "0.68 ± 0.03", "0.85 ± 0.01", "0.81 ± 0.03"],
            "SupCon": ["0.61 ± 0.01", "0.60 ± 0.11", "0.60 ± 0.06", "0.79 ± 0.03", "0.75 ± 0.04"],
            "SwAV": ["0.54 ± 0.12", "0.54 ± 0.16", "0.54 ± 0.13", "0.68 ± 0.04", "0.72 ± 0.05"],
            "VICReg": ["0.64 ± 0.07", "0.64 ± 0.07", "0.64 ± 0.07", "0.80 ± 0.03", "0.77 ± 0.03"],
        },
    ),
    "hand 2": (
        ["f1", "auc", "accuracy"],
        {
            "SimCLR": ["0.54 ± 0.09 (-0.12)", "0.78 ± 0.04 (-0.07)", "0.74 ± 0.01 (-0.07)"],
            "SupCon": ["0.51 ± 0.06 (-0.09)", "0.73 ± 0.04 (-0.06)", "0.70 ± 0.06 (-0.05)"],
            "SwAV": ["0.52 ± 0.07 (-0.02)", "0.65 ± 0.06 (-0.03)", "0.71 ± 0.05 (-0.01)"],
            "VICReg": ["0.54 ± 0.07 (-0.10)", "0.74 ± 0.03 (-0.06)", "0.70 ± 0.08 (-0.07)"],
        },
    ),
    "hand 3": (
        ["f1", "auc", "accuracy"],
        {"supervised": ["0.53 ± 0.04 (-0.15)", "0.67 ± 0.03 (-0.18)", "0.72 ± 0.01 (-0.09)"]},
    ),
    "hand 4": (
        ["f1", "auc", "accuracy"],
        {
            "SimCLR": ["0.65 ± 0.03 (-0.03)", "0.82 ± 0.02 (-0.03)", "0.79 ± 0.05 (-0.02)"],
            "SupCon": ["0.56 ± 0.04 (-0.04)", "0.74 ± 0.04 (-0.05)", "0.72 ± 0.08 (-0.03)"],
            "SwAV": ["0.51 ± 0.09 (-0.03)", "0.66 ± 0.05 (-0.02)", "0.70 ± 0.03 (-0.02)"],
            "VICReg": ["0.59 ± 0.02 (-0.05)", "0.78 ± 0.03 (-0.02)", "0.74 ± 0.05 (-0.03)"],
        },
    ),
    "hsg 1": (
        ["accuracy", "precision", "recall", "f1", "auprc"],
        {
            "CE": ["84.388 ± 2.223", "0.813 ± 0.107", "0.508 ± 0.029", "0.623 ± 0.037", "0.761 ± 0.100"],
            "Focal": ["85.564 ± 1.593", "0.750 ± 0.023", "0.650 ± 0.087", "0.695 ± 0.049", "0.758 ± 0.025"],
            "ASL": ["85.564 ± 0.967", "0.832 ± 0.105", "0.558 ± 0.063", "0.663 ± 0.020", "0.827 ± 0.048"],
            "SupCon+CE": [
                "86.709 ± 2.282",
                "0.792 ± 0.112",
                "0.675 ± 0.090",
                "0.720 ± 0.032",
                "0.766 ± 0.038",
            ],
            "SupCon+Focal": [
                "87.342 ± 1.675",
                "0.820 ± 0.008",
                "0.641 ± 0.095",
                "0.717 ± 0.050",
                "0.776 ± 0.045",
            ],
            "SupCon+ASL": [
                "87.764 ± 0.731",
                "0.827 ± 0.057",
                "0.650 ± 0.066",
                "0.724 ± 0.030",
                "0.769 ± 0.036",
            ],
        },
    ),
}

REMARKS = {
    "hand 1": "192 subjects, about 29 % positive, each seed tested on a tenth of them.",
    "hand 2": "SimCLR's printed F1 difference of -0.12 is -0.14 from the printed means of table 1.",
    "hand 3": "The difference is from SimCLR of table 1.",
    "hand 4": "Differences are from table 1.",
    "hsg 1": "158 films of 79 exams, 40 positive, the same for every seed; accuracy in percent, where 85.564 must be "
    "85.654 (406 of 474). ASL alone has the highest AUPRC.",
}
