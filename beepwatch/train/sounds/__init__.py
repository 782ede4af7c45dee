"""Random parameters arrive; sounds that resemble beeps, or go on beside them, leave."""
