"""Say how a study's files mark questions that could not be answered: scores by rule, dev by column."""

RULE = "failed: "  # begins the rule of such a question in scores, before the kind of failure
ON_DEV = "failed_"  # begins the column that counts them in dev scores, before the kind
