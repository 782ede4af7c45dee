# The same names as in script/, for those whose fingers type make.
.PHONY: setup demo test ci

setup:
	script/setup

demo:
	script/demo

test:
	script/test

ci:
	bash .ci/run
