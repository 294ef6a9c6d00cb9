"""Name what marks a question in a study's files: which rule read its answer, why it could not be answered."""

RULE = "failed: "  # begins the rule of a question that could not be answered, before the kind of failure
ON_DEV = "failed_"  # begins the column that counts such questions in dev scores, before the kind
STOCK_RULE = "VLMEvalKit's rule"  # the rule where VLMEvalKit's own read an answer and ours read nothing
