;; Never comes back: `run: func()`.
(component
  (core module $M (func (export "run") (loop $for-ever (br $for-ever))))
  (core instance $m (instantiate $M))
  (func (export "run") (canon lift (core func $m "run")))
)
