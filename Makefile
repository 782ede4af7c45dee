# The same names as in script/, for those whose fingers type make.
.PHONY: setup demo test image ci

setup:
	script/setup

demo:
	script/demo

test:
	script/test

image:
	script/image

ci:
	bash .ci/run
