;; Wants 1 GiB before it starts: `run: func()` does nothing.
(component
  (core module $M (memory 16384) (func (export "run")))
  (core instance $m (instantiate $M))
  (func (export "run") (canon lift (core func $m "run")))
)
