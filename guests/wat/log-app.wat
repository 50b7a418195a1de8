;; Says a line as often as it is told to.
;;
;;   world { import isorun:log/log@0.1.0;
;;           export say: func(level: u32, message: string, times: u32); }
(component
  (type $Log (instance
    (type $l (enum "trace" "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $l)))
    (export "log" (func (param "level" $level) (param "message" string)))))
  (import "isorun:log/log@0.1.0" (instance $log (type $Log)))
  (core module $Memory
    (memory (export "memory") 4)
    ;; One string is live at a time.
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 16)))
  (core instance $memory (instantiate $Memory))
  (core func $log (canon lower (func $log "log") (memory (core memory $memory "memory"))))
  (core module $M
    (import "log" "log" (func $log (param i32 i32 i32)))
    (func (export "say") (param $level i32) (param $at i32) (param $bytes i32) (param $times i32)
      (block $done
        (loop $more
          (br_if $done (i32.eqz (local.get $times)))
          (call $log (local.get $level) (local.get $at) (local.get $bytes))
          (local.set $times (i32.sub (local.get $times) (i32.const 1)))
          (br $more)))))
  (core instance $m (instantiate $M (with "log" (instance (export "log" (func $log))))))
  (func (export "say") (param "level" u32) (param "message" string) (param "times" u32)
    (canon lift (core func $m "say") (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
)
