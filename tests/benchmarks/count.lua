-- Says "enough" after so many answers: wrk itself knows durations only, and sleeps to their end.
local left

function init(args)
  left = tonumber(args[1])
end

function response()
  left = left - 1
  if left == 0 then
    io.stderr:write("enough\n")
    wrk.thread:stop()
  end
end
