@echo off
rem Removes the Sitekeeper agent. Settings and samples in ProgramData stay; delete that folder by hand to be rid of them.
chcp 65001 >nul
setlocal
net session >nul 2>&1
if errorlevel 1 (
    echo 请以管理员身份运行。Run this as administrator.
    pause
    exit /b 1
)
schtasks /End /TN "\Sitekeeper\Agent" >nul 2>&1
schtasks /Delete /TN "\Sitekeeper\Agent" /F >nul 2>&1
rmdir /S /Q "%ProgramFiles%\Sitekeeper"
echo 已卸载。设置和未上报的数据仍在 %ProgramData%\Sitekeeper。
echo Removed. Settings and samples are still in %ProgramData%\Sitekeeper.
pause
