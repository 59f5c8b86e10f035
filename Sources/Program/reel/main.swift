import Glibc
import Supervision

exit(Program.run(ProcessStart.arguments).rawValue)
